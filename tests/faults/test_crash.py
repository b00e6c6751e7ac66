"""Kill -9 at every call of psql during a restore: the next command finds the site entirely old or entirely new."""

import signal

import pytest

CLIENT = """#!/bin/bash
# Counts its calls; kills the command before or after the call that was chosen.
n=$(( $(cat '{place}/count' 2>/dev/null || echo 0) + 1 )); echo $n > '{place}/count'
victim() {{ [ "$n" = {call} ] && [ {when} = "$1" ] && kill -9 $PPID; }}
victim before
'{real}/psql' "$@"; status=$?
victim after
exit $status
"""
MOST_CALLS = 60
"""More calls than a restore makes; the test fails if it ever needs more."""


@pytest.fixture
def killer(site, tmp_path):
    """Return a function: run a restore that is killed at a call; tell whether it made so many."""
    place = tmp_path / "clients"
    place.mkdir()
    real = site.server.access().client_dir
    (place / "psql").touch()
    (place / "pg_dump").symlink_to(real / "pg_dump")
    (place / "psql").chmod(0o755)

    def run(call, when, *arguments):
        (place / "count").unlink(missing_ok=True)
        text = CLIENT.format(place=place, real=real, call=call, when=when)
        (place / "psql").write_text(text)
        with site.started(*arguments, env={"KORRIGO_BACKUP_CLIENT_DIR": str(place)}) as child:
            child.communicate(timeout=60)
        assert child.returncode in {0, -signal.SIGKILL}
        return call <= int((place / "count").read_text())

    return run


@pytest.mark.promise("P2")
@pytest.mark.promise("P3")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_restore_killed_at_any_call_leaves_the_site_old_or_new(site, killer, when):
    new = site.content()
    made = site.backup()
    site.sql("DELETE FROM annotation; UPDATE exam SET name = name || ' changed'; DROP VIEW finals")
    old = site.content()
    assert old != new
    seen = []
    for call in range(1, MOST_CALLS):
        reached = killer(call, when, "restore", made, "--yes", "--no-safety-backup")
        site.korrigo("plan", made)  # the next command finishes what is left
        now = site.content()
        assert now in (old, new), f"call {call}: neither old nor new"
        assert not [name for name in site.databases() if "_stage_" in name], f"call {call}"
        seen.append(now == new)
        if not reached:
            break
        if now == new:
            site.korrigo("rollback", "--yes")
            assert site.content() == old
    assert seen[-1] is True
    assert False in seen
    assert len(seen) > 10
