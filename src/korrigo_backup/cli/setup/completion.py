"""`korrigo-backup completion`: print the completion of the command line for a shell."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.cli.output import say_data
from korrigo_backup.cli.setup.words import NAMES, all_commands

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from korrigo_backup.cli.setup.words import CommandWords

_PATTERNS = "db_backup_* media_backup_* restore_point_* korrigo_backup_*"
"""The names of artifacts in the backup directory; files beside them, such as manifests, are left out."""

_PLAIN = "^[A-Za-z0-9_.]*$"
"""The characters of an artifact's name: bash expands the words that it completes, also a `$(…)` in a file name."""


class Shell(StrEnum):
    """The shells."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def command(shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.")]) -> None:
    """Print the completion of this command for a shell: verbs, actions, options, their choices, names of backups.

    It starts no Python when Tab is pressed. bash: save it as korrigo-backup in
    ~/.local/share/bash-completion/completions; zsh: as _korrigo-backup in a directory of fpath; fish: as
    korrigo-backup.fish in ~/.config/fish/completions.
    """
    commands = list(all_commands())
    say_data({Shell.BASH: _bash, Shell.ZSH: _zsh, Shell.FISH: _fish}[shell](commands).rstrip("\n"))


def _bash(commands: Sequence[CommandWords]) -> str:
    return _BASH.format(
        paths=_paths(commands),
        values="\n".join(_values(commands, 'COMPREPLY=($(compgen -W "{}" -- "$current"))', "COMPREPLY=()")),
        options="\n".join(f'        {_path(one)}) words="{" ".join(_spellings(one))}" ;;' for one in commands),
        follow="\n".join(f'        {_path(one)}) words="{_follow(one, _BASH_NAMES)}" ;;' for one in commands),
        patterns=_PATTERNS,
        plain=_PLAIN,
    )


def _zsh(commands: Sequence[CommandWords]) -> str:
    options, follow = [], []
    for one in commands:
        listed = (f"{spelling}:{option.help}" for option in one.options for spelling in option.spellings)
        options.append(f"    {_path(one)}) found=({_quoted(_escaped(text) for text in listed)}) ;;")
        listed = (f"{_escaped(word)}:{about}" if about else _escaped(word) for word, about in one.follow.items())
        names = " $(_korrigo_backup_names)" if one.takes_artifact else ""
        follow.append(f"    {_path(one)}) found=({_quoted(listed)}{names}) ;;")
    values = _values(commands, "compadd -- {}", "_files")
    return _ZSH.format(
        paths=_paths(commands),
        values="\n".join(values),
        options="\n".join(options),
        follow="\n".join(follow),
        names=" ".join(NAMES),
        patterns=" ".join(f"{pattern}(N:t)" for pattern in _PATTERNS.split()),
    )


def _fish(commands: Sequence[CommandWords]) -> str:
    lines = []
    for one in commands:
        here = f"complete -c korrigo-backup -n '__korrigo_backup_at {_path(one)}'"
        for word, about in one.follow.items():
            lines.append(f"{here} -f -a {_single(word)}" + (f" -d {_single(about)}" if about else ""))
        if one.takes_artifact:
            lines.append(f"{here} -a '(__korrigo_backup_names)'")
        for option in one.options:
            spelled = " ".join(
                f"-l {text[2:]}" if text.startswith("--") else f"-s {text[1:]}" for text in option.spellings
            )
            value = f" -x -a {_single(' '.join(option.choices))}" if option.choices else " -r"
            lines.append(f"{here} {spelled}{value if option.takes_value else ''} -d {_single(option.help)}")
    return _FISH.format(
        paths=" ".join(_path(one) for one in commands[1:]),
        lines="\n".join(lines),
        names=" ".join(NAMES),
        patterns=_PATTERNS,
    )


_BASH_NAMES = "$(_korrigo_backup_names)"


def _values(commands: Iterable[CommandWords], chosen: str, free: str) -> Iterable[str]:
    """Yield the branches for the word after an option: one of its choices, or any text."""
    for one in commands:
        for option in one.options:
            if option.takes_value:
                after = "|".join(f'"{_path(one)} {spelling}"' for spelling in option.spellings)
                done = chosen.format(" ".join(option.choices)) if option.choices else free
                yield f"    {after}) {done}; return ;;"


def _spellings(one: CommandWords) -> list[str]:
    return [spelling for option in one.options for spelling in option.spellings]


def _path(one: CommandWords) -> str:
    """Return the place of a command: / for the program, /hold/add for a subcommand."""
    return "/" + "/".join(one.path)


def _paths(commands: Sequence[CommandWords]) -> str:
    return "|".join(_path(one) for one in commands[1:])


def _follow(one: CommandWords, names: str) -> str:
    return " ".join([*one.follow, *([names] if one.takes_artifact else [])])


def _escaped(text: str) -> str:
    head, colon, about = text.partition(":")
    return f"{head}{colon}{about}" if text.startswith("-") else text.replace(":", "\\:")


def _quoted(words: Iterable[str]) -> str:
    return " ".join(map(_single, words))


def _single(text: str) -> str:
    """Return a text in single quotes, which stand for themselves in none of the shells."""
    return "'" + text.replace("'", "’") + "'"


_BASH = """\
# Completion of korrigo-backup for bash, as `korrigo-backup completion bash` prints it.
_korrigo_backup_names() {{
    printf '%s ' latest latest-point latest-media
    (
        cd "${{BACKUP_DIR:-backups}}" 2>/dev/null || exit
        ls -d {patterns} 2>/dev/null | grep -e '{plain}' | grep -v -e '\\.manifest\\.json$' -e '\\.sha256$'
    )
}}
_korrigo_backup() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} at=/ words= i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "${{at%/}}/${{COMP_WORDS[i]}}" in
        {paths}) at="${{at%/}}/${{COMP_WORDS[i]}}" ;;
        esac
    done
    case "$at $before" in
{values}
    esac
    if [[ $current == -* ]]; then
        case "$at" in
{options}
        esac
    else
        case "$at" in
{follow}
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o bashdefault -o default -F _korrigo_backup korrigo-backup
"""

_ZSH = """\
#compdef korrigo-backup
# Completion of korrigo-backup for zsh, as `korrigo-backup completion zsh` prints it.
_korrigo_backup_names() {{
  print -l {names}
  local directory=${{BACKUP_DIR:-backups}}
  (cd -q -- $directory 2>/dev/null && print -l -- {patterns} | grep -v -e '\\.manifest\\.json$' -e '\\.sha256$')
}}
_korrigo_backup() {{
  local at=/ word before=${{words[CURRENT-1]}}
  local -a found
  for word in ${{words[2,CURRENT-1]}}; do
    case "${{at%/}}/$word" in
    {paths}) at="${{at%/}}/$word" ;;
    esac
  done
  case "$at $before" in
{values}
  esac
  if [[ $PREFIX == -* ]]; then
    case "$at" in
{options}
    esac
    _describe -o option found
  else
    case "$at" in
{follow}
    esac
    _describe word found || _files
  fi
}}
if [[ $funcstack[1] == _korrigo-backup ]]; then _korrigo_backup "$@"; else compdef _korrigo_backup korrigo-backup; fi
"""

_FISH = """\
# Completion of korrigo-backup for fish, as `korrigo-backup completion fish` prints it.
function __korrigo_backup_names
    printf '%s\\n' {names}
    set -l directory backups
    set -q BACKUP_DIR; and set directory $BACKUP_DIR
    test -d $directory
    and sh -c 'cd "$1" && ls -d {patterns} 2>/dev/null' sh $directory |
        string match -v -r '\\.(manifest\\.json|sha256)$'
end
function __korrigo_backup_at
    set -l at /
    for word in (commandline -opc)[2..-1]
        set -l next (string trim -r -c / $at)/$word
        contains -- $next {paths}; and set at $next
    end
    test $at = $argv[1]
end
{lines}
"""
