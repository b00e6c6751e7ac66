"""What a recovery kit holds, what it looks like from outside, and what is refused of one that somebody made up."""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest
from pyrage import x25519

from korrigo_backup.artifact.naming import free_kit_name, is_kit, parse
from korrigo_backup.artifact.signature import Key
from korrigo_backup.cli import main
from korrigo_backup.core.secret import without_credentials
from korrigo_backup.errors import ProofFailed, Refused, UsageError
from korrigo_backup.kit.archive import pack, unpack
from korrigo_backup.kit.files import write_out
from korrigo_backup.kit.model import CONTENTS, README, Contents, KitFile, is_member, seal
from korrigo_backup.kit.readme import ReadmeFacts, readme
from korrigo_backup.system import age
from korrigo_backup.system.installed import install_command, program_source, requirement
from property_testing import given, st

NOW = datetime(2026, 2, 4, 3, 0, tzinfo=UTC)
FACTS = ReadmeFacts(
    "korrigo", "production", "/srv/my site", "korrigo-backup", "/srv/backups", "viatique", "viatique_user"
)


def listed(name, content):
    return KitFile(name, name.partition("/")[2] or name, 0o600, len(content), hashlib.sha256(content).hexdigest())


def contents(files):
    return Contents(
        site="korrigo", environment="production", host="here", directory="/srv/korrigo", created=NOW, tool="t",
        files=tuple(listed(name, content) for name, content in files.items() if name != README),
    )  # fmt: skip


def archive(*members):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()


FILES = {README: b"read me", "project/.env": b"A=secret\n", "key/key": b"00\n"}
JSON = msgspec.json.encode(contents(FILES))
WHOLE = [(README, b"read me"), (CONTENTS, JSON), ("key/key", b"00\n"), ("project/.env", b"A=secret\n")]


names = st.from_regex(r"[a-z.]{1,6}(/[a-zé ]{1,6}){0,3}", fullmatch=True).filter(is_member)


@given(st.dictionaries(names, st.binary(max_size=2000), max_size=6))
def test_packed_data_is_unpacked_to_the_same(files):
    files = {**{name: data for name, data in files.items() if name not in {README, CONTENTS}}, README: b"r"}
    opened = unpack(pack(contents(files), files), "kit")
    assert opened.files == files
    assert opened.contents == contents(files)


def test_tar_reads_it_without_this_program(tmp_path):
    subprocess.run(["tar", "-x", "-C", tmp_path], input=pack(contents(FILES), FILES), check=True)
    assert (tmp_path / "project" / ".env").read_bytes() == FILES["project/.env"]
    assert (tmp_path / "project" / ".env").stat().st_mode & 0o077 == 0


def link(name):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return info


@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    "members",
    [
        [*WHOLE, ("project/../../out", b"x")],
        [*WHOLE, ("/etc/cron.d/x", b"x")],
        [*WHOLE, ("project//x", b"x")],
        [*WHOLE, ("project/\n", b"x")],
        [*WHOLE, (link("project/link"), b"")],
        [*WHOLE, ("project/more", b"not listed")],
        [*WHOLE, ("key/key", b"00\n")],
        WHOLE[1:],
        WHOLE[:-1],
        [*WHOLE[:-1], ("project/.env", b"A=other!\n")],
        [*WHOLE[:1], (CONTENTS, b"{}"), *WHOLE[2:]],
        [*WHOLE[:1], (CONTENTS, b"\xff"), *WHOLE[2:]],
        [*WHOLE[:1], (CONTENTS, JSON.replace(b'"format":1', b'"format":2')), *WHOLE[2:]],
        [],
    ],
)
def test_a_made_up_kit_is_refused_whole(members):
    with pytest.raises(ProofFailed, match="is no recovery kit"):
        unpack(archive(*members), "kit")


def test_a_cut_kit_is_refused_wherever_it_is_cut():
    whole = archive(*WHOLE)
    end = whole.rindex(b"A=secret\n") + 9
    for cut in range(0, end, 37):
        with pytest.raises(ProofFailed, match="is no recovery kit"):
            unpack(whole[:cut], "kit")


def test_a_kit_goes_into_a_new_or_empty_directory_only_and_is_the_owners_alone(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "link").symlink_to("full")
    opened = unpack(pack(contents(FILES), FILES), "kit")
    for name in ("full", "link", "full/mine"):
        with pytest.raises(Refused, match="is not an empty directory"):
            write_out(opened, tmp_path / name)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]
    (tmp_path / "new").mkdir(mode=0o755)
    write_out(opened, tmp_path / "new")
    written = {str(path.relative_to(tmp_path / "new")): path for path in (tmp_path / "new").rglob("*")}
    assert {name: path.read_bytes() for name, path in written.items() if path.is_file()} == FILES
    assert {path.stat().st_mode & 0o077 for path in [tmp_path / "new", *written.values()]} == {0}


@pytest.mark.contract("C5")
def test_the_seal_depends_on_files_and_recipients_and_key_but_not_on_time_or_host():
    key, other = Key(b"k" * 32), Key(b"o" * 32)
    own = seal(contents(FILES), b"r", ["age1a", "age1b"], key)
    later = msgspec.structs.replace(contents(FILES), created=datetime(2027, 1, 1, tzinfo=UTC), host="elsewhere")
    changed = contents({**FILES, "project/.env": b"A=secret2\n"})
    assert seal(later, b"r", ["age1b", "age1a"], key) == own
    assert len({own, seal(changed, b"r", ["age1a", "age1b"], key), seal(later, b"x", ["age1a", "age1b"], key),
                seal(later, b"r", ["age1a"], key), seal(later, b"r", ["age1a", "age1b"], other)}) == 5  # fmt: skip


def test_a_kit_is_no_artifact_and_two_of_one_second_have_two_names():
    first = free_kit_name("20260204_030000", set())
    second = free_kit_name("20260204_030000", {first})
    assert (first, second) == ("recovery_kit_20260204_030000.tar.age", "recovery_kit_20260204_030000_2.tar.age")
    assert is_kit(first)
    assert is_kit(second)
    assert parse(first) is None
    assert not is_kit("recovery_kit_20260204_030000.tar.age.manifest.json")


def test_the_commands_are_quoted_for_the_shell():
    files = [KitFile("project/a b", "a b", 0o640, 1, "00"), KitFile("elsewhere/etc/x", "/etc/x", 0o600, 1, "00")]
    text = readme(FACTS, files)
    assert "install -D -m 640 'project/a b' '/srv/my site/a b'" in text
    assert "install -D -m 600 elsewhere/etc/x /etc/x" in text


def test_the_roles_of_the_database_are_made_where_its_server_is():
    made = ("CREATE ROLE reader NOLOGIN", 'GRANT reader TO "two words"')
    text = readme(replace(FACTS, roles=made), [])
    assert "sudo -u postgres psql -d postgres -c 'CREATE ROLE reader NOLOGIN'\n" in text
    assert "-c 'GRANT reader TO \"two words\"'\n" in text
    assert "passwords are in no backup" in text
    text = readme(replace(FACTS, roles=made, compose=("docker", "compose"), service="base"), [])
    assert "docker compose exec -T base psql -U viatique_user -d postgres -c 'CREATE ROLE reader NOLOGIN'\n" in text
    assert "passwords" not in readme(FACTS, [])


@pytest.mark.promise("P7")
def test_an_address_is_shown_without_the_name_and_token_in_it():
    assert without_credentials("https://me:t0ken@host/x.git") == "https://host/x.git"
    assert without_credentials("https://t0ken@host/x.git") == "https://host/x.git"
    assert without_credentials("ssh://git@host/x.git") == "ssh://git@host/x.git"
    assert without_credentials("ssh://git:pass@host/x.git") == "ssh://git@host/x.git"
    assert without_credentials("git@host:x.git") == "git@host:x.git"


@pytest.mark.parametrize(
    ("noted", "wanted", "origin"),
    [
        (None, "korrigo-backup[kit]==1.0", None),
        ('{"url": "file:///srv/x%20y", "dir_info": {}}', "/srv/x y[kit]", "file:///srv/x%20y"),
        ('{"url": "https://host/x.whl", "archive_info": {}}', "korrigo-backup[kit] @ https://host/x.whl", None),
        (
            '{"url": "https://me:t0ken@host/x.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}',
            "korrigo-backup[kit] @ git+https://host/x.git@abc", None,
        ),
        ("garbage", "korrigo-backup[kit]==1.0", None),
    ],
)  # fmt: skip
def test_the_program_is_installed_again_as_it_was(tmp_path, monkeypatch, noted, wanted, origin):
    place = tmp_path / "korrigo_backup-1.0.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("Name: korrigo-backup\nVersion: 1.0\n")
    if noted:
        (place / "direct_url.json").write_text(noted)
    monkeypatch.syspath_prepend(tmp_path)
    assert requirement("1.0", "kit") == (wanted, origin)


def test_the_address_of_the_project_is_named_once_its_metadata_has_it(tmp_path, monkeypatch):
    place = tmp_path / "korrigo_backup-1.0.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("Name: korrigo-backup\nVersion: 1.0\nRequires-Dist: boto3>=1.36; extra == 's3'\n")
    (place / "direct_url.json").write_text('{"url": "file:///srv/a%20b.whl", "archive_info": {}}')
    monkeypatch.syspath_prepend(tmp_path)
    assert program_source() == "'/srv/a b.whl'"
    assert install_command("boto3") == f"{sys.executable} -m pip install 'boto3>=1.36'"
    with (place / "METADATA").open("a") as file:
        file.write("Project-URL: Home, https://host/\nProject-URL: Source, https://host/x.git\n")
    assert program_source() == "git+https://host/x.git"
    assert requirement("1.0", "kit") == ("korrigo-backup[kit] @ git+https://host/x.git@v1.0", None)


IDENTITY = x25519.Identity.generate()
PUBLIC = str(IDENTITY.to_public())
SECRET = str(IDENTITY).encode()


def test_what_is_sealed_opens_with_each_of_the_private_keys_and_with_no_other(tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "ssh"], check=True)
    sealed = age.seal(b"plain text", [PUBLIC, (tmp_path / "ssh.pub").read_text().strip()])
    assert b"plain text" not in sealed
    assert age.unseal(sealed, b"# a comment\n\n" + SECRET + b"\n", "kit") == b"plain text"
    assert age.unseal(sealed, (tmp_path / "ssh").read_bytes(), "kit") == b"plain text"
    with pytest.raises(Refused, match="not encrypted to this identity"):
        age.unseal(sealed, str(x25519.Identity.generate()).encode(), "kit")


def test_damage_of_an_age_file_is_seen():
    sealed = age.seal(b"plain text", [PUBLIC])
    for bad in (sealed[:-1], sealed[:60], b"", b"PK", sealed.replace(b"X25519", b"X25518", 1), sealed + b"x"):
        with pytest.raises((ProofFailed, Refused)):
            age.unseal(bad, SECRET, "kit")


# Numbers name these cases: a key that is made anew in each process would name a test that no other worker has.
@pytest.mark.promise("P7")
@pytest.mark.parametrize(
    "bad", [SECRET.decode(), "-----BEGIN OPENSSH PRIVATE KEY-----", "age1given", "ssh-rsa x", ""], ids=range(5)
)
def test_an_invalid_recipient_is_refused_without_showing_a_private_key(bad):
    with pytest.raises(UsageError) as caught:
        age.seal(b"x", [bad])
    assert SECRET.decode()[20:] not in caught.value.message + caught.value.hint


@pytest.mark.promise("P7")
@pytest.mark.parametrize(
    "bad", [b"", b"# nothing\n", b"-----BEGIN X", SECRET[:-1], PUBLIC.encode(), b"\xff\xfe"], ids=range(6)
)
def test_an_invalid_identity_is_refused_without_showing_it(bad):
    with pytest.raises(UsageError, match="the identity cannot be used") as caught:
        age.unseal(age.seal(b"x", [PUBLIC]), bad, "kit")
    assert SECRET.decode()[20:-2] not in caught.value.message + caught.value.hint


def test_without_pyrage_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyrage", None)
    with pytest.raises(UsageError) as caught:
        age.seal(b"x", [PUBLIC])
    assert caught.value.hint == f"{sys.executable} -m pip install 'pyrage>=1.2'"


@pytest.mark.promise("P7")
@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_the_document_of_an_opened_kit_names_its_files_without_a_checksum(tmp_path, monkeypatch, capsys, more):
    monkeypatch.chdir(tmp_path)
    private, public = age.new_identity()
    (tmp_path / "key.txt").write_text(private)
    (tmp_path / "kit.tar.age").write_bytes(age.seal(pack(contents(FILES), FILES), [public]))
    code = main.guarded(["kit", "open", "kit.tar.age", "--identity", "key.txt", "--to", "opened", "--json", *more])
    found = json.loads(capsys.readouterr().out)
    assert (code, found["ok"]) == (0, True)
    assert sorted(found["files"]) == ["key/key", "project/.env"]
    assert found["path"] == str(tmp_path / "opened")
    assert (tmp_path / "opened").exists() == (not more)
