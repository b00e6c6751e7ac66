"""What people type in a hurry: a clear word, the right code, and never half a job for want of a place to print."""

import subprocess

import pytest

from sandbox import KORRIGO


def shell(site, command):
    return subprocess.run(
        ["bash", "-c", command, "sh", str(KORRIGO)], env=site.env, cwd=site.home, capture_output=True, text=True, check=False
    )  # fmt: skip


@pytest.mark.promise("P2")
@pytest.mark.parametrize(("output", "code"), [("> /dev/full", 3), ("| true", 0), (">&-", 0)])
def test_a_restore_is_completed_if_its_output_cannot_be_written(site, output, code):
    saved = site.content()
    made = site.backup()
    site.wreck()
    done = shell(site, f'"$1" restore {made} --yes {output}; exit ${{PIPESTATUS[0]}}')
    assert done.returncode == code, done.stderr
    assert "unexpected" not in done.stderr
    assert site.content() == saved
    assert [name for name in site.databases() if "_stage_" in name] == []


@pytest.mark.promise("P8")
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["restore", "."], 2, ". is not a backup that this program knows"),
        (["restore", ""], 6, "Backup file not found"),
        (["verify", "/dev/null"], 2, "is not a backup that this program knows"),
        (["restore", "a" * 5000], 1, "File name too long"),
        ([], 2, "Usage: korrigo-backup"),
        (["frob"], 2, "No such command"),
        (["nightly", "--depth", "deep"], 2, "'--depth': 'deep' is not one of 'structure', 'content', 'full'."),
        (["nightly", "--depth", "deep"], 2, "hint: korrigo-backup nightly --help"),
        (["notify"], 2, "korrigo-backup notify --help"),
        (["--config", "nope.toml", "list"], 2, "cannot read the configuration nope.toml"),
    ],
)
def test_a_mistyped_command_gets_a_clear_answer(site, arguments, code, words):
    assert words in site.korrigo(*arguments, code=code).err


def test_a_backup_directory_that_is_a_file_is_reported(site):
    (site.home / "afile").touch()
    for verb in ("backup", "list"):
        assert "the backup directory afile is a file" in site.korrigo(verb, code=2, env={"BACKUP_DIR": "afile"}).err


def test_a_media_root_that_is_a_link_is_the_tree_it_points_to_and_one_that_is_a_file_is_refused(site):
    (site.home / "link").symlink_to(site.media)
    saved = site.tree()
    site.korrigo("backup", "media", env={"MEDIA_ROOT": str(site.home / "link")})
    made = site.one("media_backup_*.tar.gz")
    site.write("late.pdf", b"late")
    site.korrigo("restore", made, "--yes", env={"MEDIA_ROOT": str(site.home / "link")})
    assert site.tree() == saved
    assert (site.home / "link").is_symlink()
    (site.home / "afile").touch()
    done = site.korrigo("restore", made, "--yes", code=6, env={"MEDIA_ROOT": str(site.home / "afile")})
    assert "is not a directory" in done.err
    assert "state: nothing was changed" in done.err


def test_the_maintenance_database_is_not_restored_over(site):
    made = site.backup()
    assert (
        "is the maintenance database, which a swap needs"
        in site.korrigo("restore", made, "--yes", code=2, env={"POSTGRES_DB": "postgres"}).err
    )
