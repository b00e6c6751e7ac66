"""A role that may enter the site's own database alone: it backs up and restores in place, and is told the rest."""

import pytest

from korrigo_backup.site.fence import held
from sandbox import nothing_changes


@pytest.fixture
def shut(site):
    """The site, whose role may not enter the database `postgres`."""
    site.sql("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC", "postgres", superuser=True)
    yield site
    site.sql("GRANT CONNECT ON DATABASE postgres TO PUBLIC", "postgres", superuser=True)


@pytest.mark.promise("P1")
def test_a_backup_and_a_restore_in_place_need_no_other_database(shut):
    made, wanted = shut.backup(), shut.rows()
    shut.wreck()
    shut.korrigo("restore", made, "--in-place", "--yes", "--no-validate")
    assert shut.rows() == wanted
    shut.korrigo("rollback", "--to", "safety", "--in-place", "--yes", code=(0, 3))
    assert shut.rows() != wanted
    assert shut.json("status")["verified"]


def test_sessions_of_the_site_are_ended_for_a_restore_in_place(shut):
    made = shut.backup()
    with shut.connect() as other:
        other.execute("SELECT 1")
        shut.korrigo("restore", made, "--in-place", "--yes", "--no-validate")
        with pytest.raises(Exception, match="terminat"):
            other.execute("SELECT 1")


@pytest.mark.promise("P1")
def test_a_restore_beside_is_refused_beforehand_with_the_ways_that_there_are(shut):
    made = shut.backup()
    with nothing_changes(shut):
        refused = shut.korrigo("restore", made, "--yes", code=4)
    assert "cannot enter database postgres" in refused.err
    assert "--in-place" in refused.err
    assert "GRANT CONNECT" in refused.err
    doctor = {one["id"]: one for one in shut.json("doctor", code=(0, 10))["findings"]}
    assert doctor["database.maintenance"]["level"] == "warning"


def test_two_runs_of_such_a_role_do_not_work_at_once(shut):
    with held(shut.wired().site().postgres, "a long backup"):
        refused = shut.korrigo("backup", "db", code=7)
    assert "a long backup" in refused.err
