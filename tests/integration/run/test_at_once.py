"""More than one at work: two runs, and a site that goes on writing."""

import threading
import time

import pytest

from sandbox import nothing_changes, until


@pytest.mark.parametrize("verb", [("backup", "db"), ("backup", "media"), ("restore", "latest", "--yes"), ("plan",)])
def test_a_second_run_is_refused_with_the_process_of_the_first_run(site, verb):
    site.backup()
    with nothing_changes(site), site.connect() as holder, holder.transaction():
        holder.execute("LOCK TABLE copy IN ACCESS EXCLUSIVE MODE")
        with site.started("backup", "db", "--no-digests") as first:
            until(site.hidden)
            done = site.korrigo(*verb, code=7)
            assert f"another run is at work: backup of the database (process {first.pid}) since " in done.err
            first.terminate()
            first.communicate(timeout=30)


@pytest.mark.promise("P1")
def test_a_backup_while_the_site_writes_holds_one_moment_of_it(site):
    """Each transaction moves a mark between two rows and adds an exam with a copy: any one moment shows it whole."""
    site.sql("CREATE TABLE balance (id int PRIMARY KEY, v int); INSERT INTO balance VALUES (1, 1000), (2, 0)")
    stop, written = threading.Event(), []

    def write():
        with site.connect() as connection:
            while not stop.is_set():
                with connection.transaction():
                    connection.execute("UPDATE balance SET v = v - 1 WHERE id = 1")
                    connection.execute(
                        "WITH e AS (INSERT INTO exam (name) VALUES (gen_random_uuid()::text) RETURNING id)"
                        " INSERT INTO copy (id, exam_id, pages) SELECT gen_random_uuid(), id, '{}' FROM e"
                    )
                    connection.execute("UPDATE balance SET v = v + 1 WHERE id = 2")
                written.append(1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        until(lambda: written)
        made = site.backup()
        time.sleep(0.1)
    finally:
        stop.set()
        writer.join()
    site.restore(made)
    (previous,) = site.previous_databases()
    saved = "SELECT (SELECT sum(v) FROM balance), (SELECT count(*) FROM exam), (SELECT count(*) FROM copy)"
    total, exams, copies = site.sql(saved)[0]
    assert total == 1000
    assert copies - exams == 300 - 20
    assert 20 < exams < site.sql(saved, previous)[0][1]
    site.sql("INSERT INTO exam (name) VALUES ('the sequence goes on')")
