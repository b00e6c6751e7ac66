"""The completion of each shell, asked of the shell itself; a shell that is not installed is passed over."""

import shutil
import subprocess

import pytest

from sandbox import KORRIGO

BASH = """
source "$1"; shift
COMP_WORDS=(korrigo-backup "$@"); COMP_CWORD=$#
_korrigo_backup; printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = 'source $argv[1]; complete -C "korrigo-backup $argv[2..]"'


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """The file of each shell."""
    made = {}
    for shell in ("bash", "zsh", "fish"):
        made[shell] = tmp_path_factory.mktemp("completion") / shell
        with made[shell].open("wb") as file:
            subprocess.run([KORRIGO, "completion", shell], stdout=file, check=True)
    return made


def bash(printed, *words, **where):
    return _asked(["bash", "-c", BASH, "bash", printed["bash"], *words], **where)


def fish(printed, *words, **where):
    if not shutil.which("fish"):
        pytest.skip("there is no fish")
    lines = _asked(["fish", "--no-config", "-c", FISH, printed["fish"], " ".join(words)], **where)
    return [line.split("\t")[0] for line in lines]


def _asked(argv, cwd=None):
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize("ask", [bash, fish])
def test_verbs_choices_and_options_are_completed(ask, printed):
    assert {"restore", "rebuild", "rehearse", "report"} <= set(ask(printed, "re"))
    assert set(ask(printed, "verify", "--depth", "")) == {"structure", "content", "full"}
    assert ask(printed, "verify", "--d") == ["--depth"]
    assert {"db", "media", "full"} <= set(ask(printed, "backup", ""))


@pytest.mark.parametrize("ask", [bash, fish])
def test_names_of_backups_are_completed_without_the_files_beside_them(ask, printed, tmp_path):
    name = "db_backup_20260204_030000.sql.gz"
    (tmp_path / "backups").mkdir()
    for ending in ("", ".manifest.json", ".sha256"):
        (tmp_path / "backups" / f"{name}{ending}").touch()
    assert ask(printed, "verify", "db", cwd=tmp_path) == [name]
    assert set(ask(printed, "restore", "lat", cwd=tmp_path)) == {"latest", "latest-point", "latest-media"}


def test_zsh_reads_its_file_and_binds_the_command(printed):
    if not shutil.which("zsh"):
        pytest.skip("there is no zsh")
    ask = 'autoload -U compinit; compinit -D; source "$1"; print -r -- ${_comps[korrigo-backup]}'
    assert _asked(["zsh", "-f", "-c", ask, "zsh", printed["zsh"]]) == ["_korrigo_backup"]


@pytest.mark.promise("P5")
@pytest.mark.parametrize("ask", [bash, fish])
def test_a_command_in_the_name_of_a_file_is_not_run(ask, printed, tmp_path):
    (tmp_path / "backups").mkdir()
    for name in ("db_backup_$(touch run).sql.gz", "db_backup_`touch run`.sql.gz"):
        (tmp_path / "backups" / name).touch()
    ask(printed, "verify", "db", cwd=tmp_path)
    assert not (tmp_path / "run").exists()
