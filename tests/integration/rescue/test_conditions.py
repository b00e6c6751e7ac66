"""The condition of --where: it chooses rows, reads alone, and means what it says."""

import threading

import pytest

from sandbox import until

SCHEMA = "CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a VALUES (1, 'x'), (2, 'y'); CREATE SEQUENCE s;"

NO_CONDITIONS = {
    "": "the condition of --where is empty",
    " ": "the condition of --where is empty",
    "id = 1) OR (true": "the condition is not understood",
    "id = 1; DROP TABLE a": "the condition is not understood",
    "pg_read_file('/no/such/file') <> ''": "the condition is not understood",
    "set_config('datestyle', 'SQL, DMY', false) <> ''": "the condition changes a setting",
    "set_config('korrigo_backup.site_path', 'x', false) <> ''": "the condition changes a setting",
    "nextval('s') > 0": "the condition is not understood",
    "nobody = 1": "the condition is not understood",
}


def test_a_text_that_is_more_than_a_condition_is_refused_and_a_condition_is_taken(make_site):
    site = make_site(schema=SCHEMA)
    made = site.backup()
    site.sql("DELETE FROM a")
    for condition, words in NO_CONDITIONS.items():
        assert words in site.korrigo("undelete", "--table", "a", "--where", condition, "--yes", code=2).err
    assert "--where goes with --table" in site.korrigo("undelete", "a:1", "--where", "id = 1", code=2).err
    assert site.sql("SELECT count(*) FROM a") == [(0,)]
    site.korrigo(
        "undelete", "--table", "a", "--where", "id = 1 -- one", "--since", "2020-01-01", "--from", made, "--yes"
    )
    assert site.sql("SELECT id FROM a") == [(1,)]


@pytest.mark.promise("P2")
def test_a_reference_that_somebody_sets_meanwhile_is_not_linked_again(make_site):
    site = make_site(
        schema="CREATE TABLE exam (id int PRIMARY KEY); INSERT INTO exam VALUES (5), (7);"
        "CREATE TABLE room (id int PRIMARY KEY, exam_id int REFERENCES exam); INSERT INTO room VALUES (1, 5);"
    )
    site.backup()
    site.sql("UPDATE room SET exam_id = NULL; DELETE FROM exam WHERE id = 5")
    done = []
    undelete = ("undelete", "exam:5", "--relink", "--yes")
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
    with site.connect() as connection, connection.transaction():
        connection.execute("UPDATE room SET exam_id = 7 WHERE id = 1")
        run = threading.Thread(target=lambda: done.append(site.korrigo(*undelete, code=4)))
        run.start()
        until(lambda: site.sql(waits) != [(0,)])
    run.join()
    assert "the live rows have changed since the plan" in done[0].err
    assert site.sql("SELECT exam_id FROM room") == [(7,)]
    assert site.sql("SELECT id FROM exam") == [(7,)]
