"""A restore can be undone by renames, and the undo, too; nothing is deleted on the way."""

import time

import pytest

import steps


@pytest.fixture
def restored(site):
    """A site that was saved, changed, and restored: (site, content when saved, content before the restore)."""
    saved = site.content()
    made = site.backup()
    site.wreck()
    before = site.content()
    site.restore(made, safety_backup=True)
    assert site.content() == saved
    return site, saved, before


@pytest.mark.contract("R7")
def test_a_rollback_returns_the_previous_data_and_a_rollback_to_after_returns_the_restore(restored):
    site, saved, before = restored
    done = site.korrigo("rollback", "--yes")
    assert "Rollback completed successfully" in done.out
    assert site.content() == before
    site.korrigo("rollback", "--to", "after", "--yes")
    assert site.content() == saved


@pytest.mark.contract("R7")
def test_two_restores_undone_are_brought_back_in_the_order_in_which_they_were_undone(restored):
    site, saved, before = restored
    site.sql("DELETE FROM annotation")
    between = site.content()
    site.restore(site.backups / "db_backup_latest.sql.gz")
    for to, content in (("before", between), ("before", before), ("after", between), ("after", saved)):
        site.korrigo("rollback", "--to", to, "--yes")
        assert site.content() == content


@pytest.mark.contract("R7")
def test_a_rollback_of_the_media_leaves_the_database(site):
    site.backup_media()
    saved = site.tree()
    site.write("copies/new.pdf", b"uploaded since")
    before, rows = site.tree(), site.content()
    site.korrigo("restore", site.one("media_backup_*.tar.gz"), "--yes")
    assert site.tree() == saved
    site.korrigo("rollback", "--media-only", "--yes")
    assert site.tree() == before
    assert site.content() == rows


@pytest.mark.promise("P1")
def test_a_rollback_brings_the_database_back_although_the_live_one_was_dropped(restored):
    site, _, before = restored
    site.sql(f'DROP DATABASE "{site.database}"', "postgres", superuser=True)
    done = site.korrigo("rollback", "--yes")
    assert "Rollback completed successfully" in done.out
    assert site.content() == before


@pytest.mark.promise("P2")
def test_a_rollback_is_refused_if_there_was_no_previous_database(site):
    """Its files have something to go back to, its database has nothing; the comment of the database is that of the backup."""
    site.sql(f"""COMMENT ON DATABASE "{site.database}" IS 'marks of the school'""", superuser=True)
    site.korrigo("backup", "full")
    saved, files = site.content(), site.tree()
    site.sql(f'DROP DATABASE "{site.database}" WITH (FORCE)', "postgres", superuser=True)
    site.write("copies/new.pdf", b"uploaded since")
    site.korrigo("restore", "latest-point", "--yes")
    refused = site.korrigo("rollback", "--yes", code=4)
    assert f"there was no database {site.database} to go back to" in refused.err
    assert "--media-only" in refused.err
    assert (site.content(), site.tree()) == (saved, files)
    site.korrigo("rollback", "--media-only", "--yes")
    assert site.content() == saved
    assert set(site.tree()) == {*files, b"copies/new.pdf"}


@pytest.mark.contract("R7")
def test_a_rollback_to_the_safety_backup_restores_its_file(restored):
    site, _, before = restored
    site.korrigo("rollback", "--to", "safety", "--yes")
    assert site.content() == before


@pytest.mark.contract("R7")
def test_a_rollback_to_the_last_automatic_backup_leaves_the_safety_ones_out(restored):
    site, saved, _ = restored
    site.sql("DELETE FROM annotation")
    done = site.korrigo("rollback", "--to", "automatic", "--yes")
    assert "pre_restore" not in done.out.split("Plan:")[1].split("\n")[0]
    assert site.content() == saved


@pytest.mark.contract("R7")
def test_any_other_answer_than_yes_leaves_everything(restored):
    site, saved, _ = restored
    site.korrigo("rollback", code=5, stdin="y\n")
    assert site.content() == saved


def test_a_rollback_without_a_restore_is_refused(site):
    assert "no restore has left data" in site.korrigo("rollback", "--yes", code=6).err


def kill_while_staging(site, artifact):
    """Kill a restore at the first effect at which its staged database is there."""
    for effect in range(16, 60, 2):
        assert steps.run(site, "restore", artifact, "--yes", triggers={effect: "kill"}).killed
        if any("_stage_" in name for name in site.databases()):
            return
    raise AssertionError("no staged database was ever there")


@pytest.mark.promise("P2")
@pytest.mark.contract("R7")
def test_a_rollback_after_an_interrupted_restore_takes_back_that_one_alone(restored):
    """The restore before it left a database aside, too; going back to that was not asked for."""
    site, saved, _ = restored
    (before,) = site.previous_databases()
    made = site.backup()
    site.sql("DELETE FROM annotation")
    now = site.content()
    kill_while_staging(site, made)
    done = site.korrigo("rollback", "--yes")
    assert "The interrupted restore is undone: the site is as it was before it" in done.out
    assert site.content() == now != saved
    assert site.previous_databases() == [before]


def test_what_is_asked_for_beyond_that_is_not_done_blindly(restored):
    site, _, _ = restored
    now = site.content()
    kill_while_staging(site, "latest")
    done = site.korrigo("rollback", "--to", "after", "--yes", code=4)
    assert "an interrupted restore was undone first" in done.err
    assert site.content() == now


@pytest.mark.contract("R7")
def test_a_rollback_does_the_same_few_things_at_any_size(make_site, capsys):
    """Processes, renames and flushes are counted: the time that they take is the machine's, and is printed."""
    effects = [
        rolled_back(make_site, capsys, rows=10, files=10),
        rolled_back(make_site, capsys, rows=60_000, files=2_000),
    ]
    assert len(effects[0]) == len(effects[1])


def rolled_back(make_site, capsys, *, rows, files):
    """Return the effects of a rollback of database and media."""
    site = make_site(
        schema=f"CREATE TABLE big AS SELECT g, repeat(md5(g::text), 30) t FROM generate_series(1, {rows}) g"
    )
    for number in range(files):
        site.write(f"{number % 10}/{number}", b"x")
    site.korrigo("backup", "full")
    site.korrigo("restore", "latest-point", "--yes", "--no-safety-backup")
    begun = time.monotonic()
    ran = steps.run(site, "rollback", "--yes")
    with capsys.disabled():
        print(f"\n   {rows} rows, {files} files: rollback of both in {time.monotonic() - begun:.2f} s")  # noqa: T201
    assert ran.code == 0, ran.output
    return ran.effects


def test_a_second_rollback_names_the_way_forward_again(restored):
    site, _, _ = restored
    site.korrigo("rollback", "--yes")
    done = site.korrigo("rollback", "--yes", code=6)
    assert "korrigo-backup rollback --to after" in done.err
