"""Files that are not, or no longer, the backup they should be: a clear message, and nothing changed."""

import gzip
import os
import subprocess

import pytest

from korrigo_backup.errors import ProofFailed
from sandbox import nothing_changes

pytestmark = pytest.mark.promise("P2")


def cut(raw):
    return raw[: len(raw) * 2 // 3]


def cut_trailer(raw):
    return raw[:-4]


def flipped(raw):
    return raw[: len(raw) // 2] + bytes([raw[len(raw) // 2] ^ 0x40]) + raw[len(raw) // 2 + 1 :]


def other_content(raw):
    return gzip.compress(b"a letter to the parents\n" * 1000)


def cut_dump(raw):
    return gzip.compress(gzip.decompress(raw)[:-200])


def row_changed(raw):
    return gzip.compress(gzip.decompress(raw).replace(b"exam 7\t", b"exam 8\t", 1))


def not_gzip(raw):
    return gzip.decompress(raw)


DAMAGE = {
    cut: "is cut: the gzip stream ends before its end mark",
    cut_trailer: "is cut: the gzip stream ends before its end mark",
    flipped: "",
    other_content: "is not a complete PostgreSQL dump: its end mark is missing",
    cut_dump: "is not a complete PostgreSQL dump: its end mark is missing",
    row_changed: "is not the saved file: its checksum differs from the manifest's",
    not_gzip: "is not a valid gzip file",
    lambda _: b"": "is empty",
}


@pytest.mark.contract("B11")
def test_a_damaged_dump_is_refused_by_verify_plan_restore_and_script(site):
    """All kinds of damage to one file: verify, restore and the runbook's script say the same of each."""
    made = site.backup()
    raw = made.read_bytes()
    catalog = site.wired().catalog
    with nothing_changes(site):
        for damage, words in DAMAGE.items():
            made.write_bytes(damage(raw))
            with pytest.raises(ProofFailed) as caught:
                site.restore(made)
            assert words in caught.value.message
            assert caught.value.hint
            assert caught.value.state == "nothing was changed"
            assert catalog.find("latest").path == made
        made.write_bytes(cut(raw))
        words = f"error: {made.name} {DAMAGE[cut]}\nhint: "
        assert words in site.korrigo("restore", made, "--yes", code=9).err
        assert words in site.korrigo("plan", made, code=9).err
        assert DAMAGE[cut] in site.korrigo("verify", made, code=9).err
        assert words in site.script("restore_db.sh", made, stdin="yes\n", code=9).err
        assert DAMAGE[cut] in site.script("validate_backup.sh", made, code=1).err


@pytest.mark.contract("B11")
@pytest.mark.contract("R1")
def test_a_missing_file_is_named_and_the_newest_offered(site):
    made = site.backup()
    with nothing_changes(site):
        done = site.script("restore_db.sh", "backups/db_backup_20200101_000000.sql.gz", stdin="yes\n", code=6)
    assert "error: Backup file not found: backups/db_backup_20200101_000000.sql.gz" in done.err
    assert made.name in done.err
    assert "not found" in site.script("validate_backup.sh", "gone.sql.gz", code=1).err


@pytest.mark.contract("B11")
def test_a_good_file_passes_the_runbooks_validation(site):
    done = site.script("validate_backup.sh", site.backup())
    assert "✅ Backup validation passed" in done.out
    assert "Warning: Backup size < 1 MB" in done.out


def test_a_file_of_another_kind_is_a_usage_error(site):
    site.backup()
    letter = site.home / "letter.txt"
    letter.write_text("Dear parents")
    with nothing_changes(site):
        done = site.korrigo("restore", letter, "--yes", code=2)
    assert "is not a backup that this program knows" in done.err


@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"not json", "cannot be read"),
        (b'{"timestamp": "x"}', "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_manifest_of_garbage_fails_and_is_never_taken_for_no_manifest(site, content, words):
    made = site.backup()
    made.with_name(made.name + ".manifest.json").write_bytes(content)
    with nothing_changes(site):
        done = site.korrigo("restore", made, "--yes", code=9)
    assert words in done.err
    assert site.json("list")["items"][0]["proof"] == "broken"
    assert "there is no good sql backup" in site.korrigo("restore", "latest", "--yes", code=6).err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"rows":300', '"rows":299', "public.annotation has 300 rows, not 299"),
        ('"last_value":20', '"last_value":21', "public.exam_id_seq does not stand at 21"),
        ('"digest":"', '"digest":"0', "public.annotation has other content"),
    ],
)
def test_an_altered_manifest_fails_the_proof_and_the_stage_is_dropped(site, old, new, words):
    made = site.backup()
    manifest = made.with_name(made.name + ".manifest.json")
    text = manifest.read_text()
    head, mark, tail = text.partition('"tables"')
    assert old in tail
    manifest.write_text(head + mark + tail.replace(old, new, 1))
    with nothing_changes(site):
        done = site.korrigo("restore", made, "--yes", "--allow-unsigned", code=9)
    assert "was altered: its signature does not fit" in done.err
    site.seal(manifest)
    with nothing_changes(site):
        done = site.korrigo("restore", made, "--yes", code=9)
    assert words in done.err
    assert "state: rolled back: the site is as it was before" in done.err


def test_a_media_backup_that_was_altered_is_refused(site):
    made = site.backup_media()
    listing = made.with_name(made.name + ".sha256")
    archive, lines = made.read_bytes(), listing.read_bytes()
    digest = lines[:64]
    cases = {
        "a checksum": (archive, lines.replace(digest, b"0" * 64)),
        "a line less": (archive, lines[lines.index(b"\n") + 1 :]),
        "a line more": (archive, lines + digest + b"  app/media/new\n"),
        "garbage": (archive, b"garbage\n" + lines),
        "a cut archive": (cut(archive), lines),
        "a flipped bit": (flipped(archive), lines),
        "not a tar": (gzip.compress(b"hello" * 500), lines),
        "both": (gzip.compress(gzip.decompress(archive)), lines),
    }
    with nothing_changes(site):
        for new_archive, new_lines in cases.values():
            made.write_bytes(new_archive)
            listing.write_bytes(new_lines)
            with pytest.raises(ProofFailed) as caught:
                site.restore(made)
            assert caught.value.state == "nothing was changed"
        done = site.korrigo("restore", made, "--yes", code=9)
        assert "state: nothing was changed" in done.err
    listing.unlink()
    site.korrigo("restore", made, "--yes", code=9)


@pytest.mark.promise("P5")
def test_an_archive_with_a_path_outside_the_media_tree_is_refused(site):
    evil = site.home / "media_backup_20260101_030000.tar.gz"
    (site.home / "victim").write_text("safe")
    (site.home / "from").mkdir()
    (site.home / "from" / "victim").write_text("overwritten")
    subprocess.run(
        ["tar", "-czf", evil, "-P", "-C", site.home / "from", "--transform", "s,^,data/../../,", "victim"], check=True
    )
    with nothing_changes(site):
        done = site.korrigo("restore", evil, "--yes", "--allow-unsigned", code=4)
    assert "is not a path inside the media tree" in done.err
    assert (site.home / "victim").read_text() == "safe"


@pytest.mark.promise("P5")
def test_links_out_of_the_tree_are_refused_and_left_out_when_that_is_accepted(site):
    odd = site.home / "media_backup_20260101_030000.tar.gz"
    (site.home / "from").mkdir()
    (site.home / "from" / "passwd").symlink_to("/etc/passwd")
    (site.home / "from" / "real").write_text("real")
    os.link(site.home / "from" / "real", site.home / "from" / "same")
    subprocess.run(["tar", "-czf", odd, "-C", site.home / "from", "."], check=True)
    with nothing_changes(site):
        refused = site.korrigo("restore", odd, "--yes", "--allow-unsigned", code=4)
    assert "passwd -> /etc/passwd" in refused.err
    assert "--accept media.links" in refused.err
    done = site.korrigo("restore", odd, "--yes", "--allow-unsigned", "--accept", "media.links", code=3)
    assert "passwd" in done.out
    left = {path.name for path in site.media.iterdir() if not path.name.startswith(".before-")}
    assert left == {"real", "same"}
    assert (site.media / "same").samefile(site.media / "real")


@pytest.mark.contract("T1")
@pytest.mark.promise("P3")
def test_the_error_in_the_middle_of_a_foreign_dump_leaves_the_live_database_untouched(site):
    """T1: a load that fails never ends in "completed successfully"."""
    made = site.backup()
    text = gzip.decompress(made.read_bytes())
    bad = text.replace(b"COPY public.annotation", b"SELECT no_such_function();\nCOPY public.annotation", 1)
    foreign = site.home / "db_backup_20260101_030000.sql.gz"
    foreign.write_bytes(gzip.compress(bad))
    with nothing_changes(site):
        done = site.script("restore_db.sh", foreign, "--allow-unsigned", stdin="yes\n", code=1)
    assert "function no_such_function() does not exist" in done.err
    assert "state: rolled back: the site is as it was before" in done.err
    assert "completed" not in done.out


@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    "line", [rb"\! touch {}", rb"\o {}", rb"\i {}", rb"SELECT 1 \g {}", rb"COPY t FROM PROGRAM 'x'; \! touch {}"]
)
def test_a_dump_that_would_run_a_program_is_never_given_to_psql(site, line):
    made = site.backup()
    proof = site.home / "it-ran"
    hostile = line.replace(b"{}", os.fsencode(proof)) + b"\n"
    text = gzip.decompress(made.read_bytes()).replace(b"SET statement_timeout", hostile + b"SET statement_timeout", 1)
    foreign = site.home / "db_backup_20260101_030000.sql.gz"
    foreign.write_bytes(gzip.compress(text))
    with nothing_changes(site):
        done = site.korrigo("restore", foreign, "--yes", code=9)
    assert "pg_dump does not write this" in done.err
    assert not proof.exists()
