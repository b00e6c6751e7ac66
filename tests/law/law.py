"""The law: a backup that was announced as made restores, with the same saved facts, wherever it is asked."""

import os
import shutil

from law.facts import damage, files, saved_facts
from law.states import apply, recreate
from law.trees import build
from property_testing import HealthCheck, Phase, event, note, settings
from sandbox import USER, connect, drop_database

MANY = int(os.environ.get("KORRIGO_TEST_LAW", "0"))

bounded = settings(
    max_examples=MANY or 2,
    derandomize=not MANY,
    deadline=None,
    phases=[Phase.generate, Phase.shrink] if MANY else [Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)


def done(site, *arguments):
    """Run a command that must succeed, or name each loss."""
    result = site.korrigo(*arguments, code=(0, 3))
    note(f"korrigo-backup {' '.join(map(str, arguments))} -> {result.code}\n{result.output}")
    if result.code == 3:
        assert "⚠️" in result.out, "a loss that is not named"
        event(f"{arguments[0]} names a loss")
    return result


def hold(site, states, tree, *, superuser, options=""):
    """Hold one state of database and media to the law; `site` has an empty database, made anew with `options`."""
    if options:
        recreate(site, options)
    site.superuser = superuser
    for state in apply(site, states):
        note(f"{state.kind}: {state.sql or state.admin}")
        event(state.kind)
    shutil.rmtree(site.media)
    site.media.mkdir()
    build(site.media, tree)
    try:
        backed_up_and_back(site)
    finally:
        with connect(site.server) as admin:
            admin.execute(f"ALTER ROLE {USER} RESET ALL")


def backed_up_and_back(site):
    saved, tree = saved_facts(site), files(site.media)
    done(site, "backup", "full")
    assert saved_facts(site) == saved, "a backup changes nothing"

    done(site, "verify", "latest-point", "--depth", "full")
    damage(site)
    site.write("never saved.pdf", b"x")
    damaged, damaged_tree = saved_facts(site), files(site.media)
    done(site, "plan", "latest-point")
    assert (saved_facts(site), files(site.media)) == (damaged, damaged_tree), "looking changes nothing"

    done(site, "restore", "latest-point", "--yes", "--no-validate")
    assert saved_facts(site) == saved
    assert files(site.media) == tree
    done(site, "rollback", "--yes")
    assert saved_facts(site) == damaged
    assert files(site.media) == damaged_tree

    drop_database(site.server, site.database)
    done(site, "restore", "latest-point", "--yes", "--no-validate")
    assert saved_facts(site) == saved
    assert files(site.media) == tree
