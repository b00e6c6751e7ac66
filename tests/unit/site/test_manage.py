"""What the site's manage.py is started with, and how its answer is read."""

import io
import sys
import tarfile
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from korrigo_backup.compose.manage import unpack_flat
from korrigo_backup.config.load import load, surroundings
from korrigo_backup.core.secret import Secret
from korrigo_backup.core.site_description import Description, Probe
from korrigo_backup.errors import KorrigoBackupError, NotConfigured, ProofFailed, Refused, Unreachable, UsageError
from korrigo_backup.run.step import DjangoWarning
from korrigo_backup.site.manage import DirectDjango, child_environment
from korrigo_backup.site.served import Served
from korrigo_backup.validate.validate import ValidationInputs


class Answer(msgspec.Struct):
    number: int


def program(tmp_path, text):
    path = tmp_path / "manage.py"
    path.write_text(f"import os, sys\n{text}\n")
    return DirectDjango((sys.executable, str(path)), tmp_path, {"SHOWN": "1"})


def test_the_answer_is_the_last_line_also_with_status_9(tmp_path):
    site = program(tmp_path, """print('noise'); print('{"schema": "x", "number": 7}'); sys.exit(9)""")
    assert site.ask("anything", Answer).number == 7


def test_the_command_runs_in_its_directory_with_its_environment_and_arguments(tmp_path):
    site = program(tmp_path, "print({True: '{\"number\": 1}'}[sys.argv[1:] == ['c'] and os.environ['SHOWN'] == '1'])")
    assert site.ask("c", Answer).number == 1
    assert program(tmp_path, "print('{\"number\": %d}' % os.path.exists('manage.py'))").ask("c", Answer).number == 1


@pytest.mark.parametrize("text", ["print('not json')", "", "print('{}')", 'print(\'{"number": "x"}\')'])
def test_a_text_that_is_no_document_is_an_error(tmp_path, text):
    with pytest.raises(KorrigoBackupError, match="printed no document") as caught:
        program(tmp_path, text).ask("korrigo_describe", Answer)
    assert "same version" in caught.value.hint


def test_errors_of_the_command_keep_their_words_and_hint(tmp_path):
    text = "sys.exit('CommandError: no route\\nhint: start the server\\nstate: nothing was changed')"
    with pytest.raises(KorrigoBackupError, match="ended with status 1: no route") as caught:
        program(tmp_path, text).ask("c", Answer)
    assert caught.value.hint == "start the server"
    with pytest.raises(Unreachable):
        program(tmp_path, "sys.exit(8)").ask("c", Answer)
    with pytest.raises(Refused, match="does not have this command"):
        program(tmp_path, "sys.exit(\"Unknown command: 'c'\")").ask("c", Answer)
    with pytest.raises(UsageError, match="cannot run"):
        DirectDjango(("/nothing/here",), None, {}).ask("c", Answer)


@pytest.mark.parametrize(
    "text",
    [
        "print('OCI runtime exec failed: exec failed: exec: \"nope\": executable file not found in $PATH'); sys.exit(126)",
        "print('OCI runtime exec failed: chdir to cwd (\"/app\") failed: no such file or directory'); sys.exit(126)",
        "sys.exit(print('sh: 1: python: not found', file=sys.stderr) or 127)",
        "sys.exit(print('env: python: Permission denied', file=sys.stderr) or 126)",
    ],
)
def test_a_program_that_is_not_there_means_that_django_is_not_configured(tmp_path, text):
    with pytest.raises(NotConfigured, match=r"no such program or file there: .+"):
        program(tmp_path, text).ask("c", Answer)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sys.exit(126)", "ended with status 126: it printed nothing"),
        ("sys.exit(127)", "ended with status 127: it printed nothing"),
        ("print('OCI runtime exec failed: cannot exec in a stopped container'); sys.exit(126)", "stopped container"),
        ("print('OCI runtime exec failed: procReady not received'); sys.exit(126)", "procReady not received"),
        ("sys.exit(print('container is not running', file=sys.stderr) or 126)", "container is not running"),
    ],
)
def test_a_container_that_ends_before_the_command_starts_is_no_missing_program(tmp_path, text, words):
    with pytest.raises(KorrigoBackupError, match=words) as caught:
        program(tmp_path, text).ask("c", Answer)
    assert type(caught.value) is KorrigoBackupError


@pytest.fixture
def served(tmp_path):
    """A backup of one file that is served, and what was heard."""
    (tmp_path / "rows.json").write_bytes(bytes(range(256)) * 9000)
    with (tmp_path / "rows.json").open("rb", buffering=0) as file:
        heard: list[object] = []
        yield SimpleNamespace(heard=heard, it=Served({"rows.json": file}, heard.append, heard.append))


ASKS = """
from korrigo_backup.djangoapp.served import Host
from korrigo_backup.run.step import DjangoComplete, DjangoWarning
host = Host(lambda line: print(line, flush=True))
print("settings may print")
"""


def test_what_is_served_is_a_file_that_can_be_read_anywhere(tmp_path, served):
    text = """
import io
file = host.open("rows.json")
whole = io.BufferedReader(file).read()
assert whole == bytes(range(256)) * 9000
file.seek(-3, 2)
assert file.read(10) == bytes([253, 254, 255]) and file.read(10) == b""
file.seek(257)
assert (file.tell(), file.read(2)) == (257, bytes([1, 2]))
try: host.open("../secret")
except FileNotFoundError: host.tell(DjangoWarning("none"))
host.wait_for_the_word("17")
host.tell(DjangoComplete())
"""
    program(tmp_path, ASKS + text).take_in(served.it)
    assert served.heard == [DjangoWarning("none"), "17"]


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("pass", KorrigoBackupError, "ended without output"),
        ("sys.exit(4)", Refused, "ended with status 4"),
        ("host.tell(DjangoComplete()); sys.exit(9)", ProofFailed, "ended with status 9"),
        ("sys.stderr.write('error: unrecognized arguments: --stamp'); sys.exit(2)", Refused, "another version"),
        ("os.close(0); host.open('rows.json')", KorrigoBackupError, "ended with status 1"),
    ],
)
def test_a_failed_restore_by_manage_py_is_reported_with_its_cause(tmp_path, served, text, kind, words):
    with pytest.raises(kind, match=words):
        program(tmp_path, ASKS + text).take_in(served.it)


def test_what_must_not_be_committed_is_hung_up_on_and_ends_by_itself(tmp_path, served):
    text = "try: host.wait_for_the_word('17')\nexcept Exception as problem: open('ended', 'w').write(problem.message)"

    def refuse(number):
        raise Refused(f"not {number}", hint="")

    served.it.ready = refuse
    with pytest.raises(Refused, match="not 17"):
        program(tmp_path, ASKS + text).take_in(served.it)
    assert (tmp_path / "ended").read_text() == "the command on the host that serves the backup has gone"


@pytest.mark.promise("P7")
def test_secrets_in_variables_are_redacted_from_the_output_of_a_child(tmp_path):
    environment = child_environment(
        {"DJANGO_SECRET_KEY": "k3y-of-site", "LANG": "C", "POSTGRES_DB": "shell"},
        {"POSTGRES_PASSWORD": "pa55word", "POSTGRES_DB": "told", "MEDIA_ROOT": None},
    )
    assert environment == {
        "DJANGO_SECRET_KEY": Secret("k3y-of-site"),
        "LANG": "C",
        "POSTGRES_DB": "told",
        "POSTGRES_PASSWORD": Secret("pa55word"),
    }
    made = program(tmp_path, "sys.exit(os.environ['DJANGO_SECRET_KEY'] + os.environ['POSTGRES_PASSWORD'])")
    with pytest.raises(KorrigoBackupError, match=r"\*\*\*\*\*\*$"):
        DirectDjango(made.manage, None, environment).ask("c", Answer)


def test_manage_is_a_list_of_words_or_one_text_of_them(tmp_path):
    file = tmp_path / "korrigo-backup.toml"
    file.write_text('[django]\nmanage = ["python", "my site/manage.py"]\ndir = "/srv"\n')
    assert load(tmp_path, {}).django.manage == ("python", "my site/manage.py")
    config = load(tmp_path, {"KORRIGO_BACKUP_MANAGE": "python3 'my site/manage.py' ; rm $HOME"})
    assert config.django.manage == ("python3", "my site/manage.py", ";", "rm", "$HOME")
    with pytest.raises(UsageError, match=r"KORRIGO_BACKUP_MANAGE in the environment: django\.manage"):
        load(tmp_path, {"KORRIGO_BACKUP_MANAGE": "python 'manage.py"})


def test_the_surroundings_are_the_env_file_below_the_environment(tmp_path):
    (tmp_path / ".env").write_text("A=file\nB=file\n")
    assert surroundings(tmp_path, {"B": "shell"}) == {"A": "file", "B": "shell"}


def stream(*entries):
    """A tar stream of (name, content); content None is a directory, "link" a link."""
    out = io.BytesIO()
    with tarfile.open(mode="w|", fileobj=out) as tar:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.DIRTYPE
            elif content == "link":
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return io.BytesIO(out.getvalue())


@pytest.mark.contract("B5")
def test_what_comes_out_of_the_container_is_private_and_flat(tmp_path):
    name = "./korrigo_backup_20260204_030000"
    unpack_flat(
        stream(("./", None), (name, None), (f"{name}/manifest.json", b"{}"), (f"{name}/a.zip", b"PK")), tmp_path
    )
    made = tmp_path / "korrigo_backup_20260204_030000"
    assert {path.name: path.read_bytes() for path in made.iterdir()} == {"manifest.json": b"{}", "a.zip": b"PK"}
    assert made.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in made.iterdir()} == {0o600}


@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    "entries",
    [
        [("d/a", "link")],
        [("../a", b"x")],
        [("d/../../a", b"x")],
        [("/etc/a/b", b"x")],
        [("a", b"x")],
        [("d/e/f", b"x")],
        [(f"d/{number}", b"x") for number in range(20)],
    ],
)
def test_unexpected_files_from_a_container_are_refused_and_stay_inside_the_directory(tmp_path, entries):
    (tmp_path / "in").mkdir()
    with pytest.raises(ProofFailed, match="no part of a Django backup"):
        unpack_flat(stream(*entries), tmp_path / "in")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_stream_that_is_cut_is_an_error(tmp_path):
    whole = stream(("d/a", b"x" * 5000)).getvalue()
    for size in (0, 600, 3000):
        with pytest.raises(ProofFailed, match="is cut"):
            unpack_flat(io.BytesIO(whole[:size]), tmp_path / str(size))


OLDER = """
import json
database = dict.fromkeys(("alias", "engine", "name", "user", "host", "port"), "")
described = {"django": "5", "python": "3", "database": database, "media_root": "", "users": {"table": "", "schema": ""}}
print(json.dumps({"korrigo_probe": {"checks": []}, "korrigo_describe": described}[sys.argv[1]]))
"""


def test_a_site_whose_app_is_an_older_version_is_asked_twice(tmp_path):
    site: Any = SimpleNamespace(django=program(tmp_path, OLDER))
    given = ValidationInputs(site, None, strict=False)
    assert isinstance(given.probed, Probe)
    assert isinstance(given.described, Description)
