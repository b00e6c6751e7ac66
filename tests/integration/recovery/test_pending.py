"""A dry run after a killed run names the recovery that is to come, and leaves all of it to the run itself."""

import pytest

from sandbox import USER, connect, nothing_changes

STAMP = "20260101_020304"
DRY_RUNS = [("rebuild", "--empty", "--dry-run"), ("adopt", "--dry-run"), ("restore", "latest-point", "--dry-run"), ("plan", "latest-point")]  # fmt: skip


@pytest.fixture
def staged(site):
    """A site with a restore point, and the staged database and media of a restore that was killed before its swap."""
    site.korrigo("backup", "full")
    with connect(site.server) as connection:
        connection.execute(f'CREATE DATABASE "{site.database}_stage_{STAMP}" OWNER {USER}')
    (site.media / f".stage-{STAMP}").mkdir()
    return site


@pytest.fixture
def swapping(staged):
    """The same, killed in its swap."""
    (staged.media / f".stage-{STAMP}").rename(staged.media / f".stage-{STAMP}.moving")
    return staged


def left(site):
    return site.databases(), sorted(path.name for path in site.media.glob(".*")), site.journal()


def test_a_plan_before_the_recovery_is_made_and_names_it(staged):
    before, first = left(staged), "🔧 First, because of an interrupted run:"
    for words in DRY_RUNS:
        with nothing_changes(staged):
            out = staged.korrigo(*words).out
        assert f"{first} undo the unfinished restore of {STAMP}" in out, words
        assert f"{first} drop the unfinished database {staged.database}_stage_{STAMP}" in out, words
        assert left(staged) == before, words


def test_no_plan_is_made_in_the_middle_of_a_swap(swapping):
    before = left(swapping)
    for words in DRY_RUNS:
        err = swapping.korrigo(*words, code=4).err
        assert f"error: a killed run is to be finished first: undo the unfinished restore of {STAMP}\n" in err, words
        assert left(swapping) == before, words


@pytest.mark.parametrize("state", ["staged", "swapping"])
def test_a_rollback_would_only_undo_the_killed_restore(request, state):
    site = request.getfixturevalue(state)
    before = left(site)
    out = site.korrigo("rollback", "--dry-run").out
    assert f"undo the unfinished restore of {STAMP}" in out
    assert "Plan: undo the interrupted restore, and take no other step" in out
    assert "No change was made (--dry-run)" in out
    assert left(site) == before
    refused = site.korrigo("rollback", "--media-only", "--dry-run", code=4)
    assert "error: an interrupted restore is to be undone first" in refused.err
    site.korrigo("rollback", "--yes")
    assert left(site)[0] == before[0] - {f"{site.database}_stage_{STAMP}"}


def test_services_that_a_killed_run_stopped_stay_stopped(staged):
    services = staged.backups / ".services-stopped"
    services.write_text("services\n")
    staged.korrigo("rollback", "--dry-run")
    assert services.exists()
