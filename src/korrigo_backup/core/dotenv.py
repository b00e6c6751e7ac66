"""The text of a `.env` file, read by the rules of Docker Compose (compose-go, package dotenv).

They differ from those of other readers: `NAME: value` is a setting, variables are replaced in bare and in
double-quoted values, `$$` is a dollar sign, a comment after a bare value begins with a blank and `#`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.core.interpolation import MissingVariable, interpolate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_BLANK = "[^\\S\n]"
_SETTING = re.compile(rf"(?:export{_BLANK}+)?(?P<name>[\w.\-\[\]]+){_BLANK}*(?P<sign>[=:]|(?=\n|\Z)){_BLANK}*")
_NAMED = re.compile(rf"(?:export{_BLANK}+)?(?P<name>[\w.\-\[\]]+){_BLANK}*[=:]")
_ESCAPE = re.compile(r"\\(?:(?P<letter>[abfnrtv\\\"])|(?P<dollar>\$)|0(?P<octal>\d{0,3}))")
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}
_OCTAL = re.compile("[0-3][0-7]{2}")


class Fault(StrEnum):
    """Why a line gives no value, or another value than it seems to give."""

    NO_SETTING = "it is not NAME=value"
    OPEN_QUOTE = "a quotation mark is not closed"
    REQUIRED = "it needs a variable that has no value (${NAME:?…})"
    UNSET = "a $ in it names a variable that is not set, which Compose replaces by an empty string"


@dataclass(frozen=True)
class Problem:
    """A line that is not read as it stands; `name` is the setting that it would make, if it is known.

    `file` is the name of its file. The text of the line is not kept: it may be a secret.
    """

    line: int
    fault: Fault
    name: str = ""
    file: str = ".env"


@dataclass(frozen=True)
class Dotenv:
    """The settings of a `.env` file, and the lines that give none."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    problems: tuple[Problem, ...] = ()


def described(problem: Problem, directory: str = "") -> Finding:
    """Return the finding about a line of a file in `directory`; it shows the line's number and no value."""
    place = f"{directory}{problem.file}, line {problem.line}"
    if problem.fault is Fault.UNSET:
        return warning("env.line", f"{place}: {problem.name}: {problem.fault}",
                       "write $$ for a dollar sign, or put the value between single quotation marks")  # fmt: skip
    return warning("env.line", f"{place} is left out: {problem.fault}",
                   "correct the line, or begin it with #: Docker Compose refuses the whole file for it")  # fmt: skip


def written(name: str, value: str) -> str:
    """Return the line of a setting, which `parse` reads as it is given."""
    if "'" not in value and not value.endswith("\\"):  # a backslash before the quotation mark takes its meaning
        return f"{name}='{value}'\n"
    for character, escaped in (("\\", "\\\\"), ('"', '\\"'), ("$", "\\$"), ("\n", "\\n")):
        value = value.replace(character, escaped)
    return f'{name}="{value}"\n'


def without(text: str, name: str) -> str:
    """Return the text of a file without the settings of a variable, however they are spelled; the rest is as it was."""
    kept, at, read_to = list[str](), 0, 0
    while (start := _statement(text, at)) is not None:
        try:
            found, _, at, _ = _setting(text, start, {})
        except ValueError:  # a line that sets nothing, or a value without an end
            at = _line_end(text, start)
            continue
        if found == name:
            line = text.rfind("\n", 0, start) + 1
            kept.append(text[read_to : max(line, read_to)])
            at = read_to = min(_line_end(text, at) + 1, len(text))
    return "".join([*kept, text[read_to:]])


class _OpenQuote(ValueError):
    """A quoted value without an end."""


def parse(text: str, environment: Mapping[str, str]) -> Dotenv:
    """Return the settings of `text`. Variables are those of `environment`, then those of earlier lines.

    A line that is none is left out and named in `problems`, so that a foreign line never hides the others: Compose
    itself refuses the whole file.
    """
    text = text.removeprefix("\N{BYTE ORDER MARK}")
    values: dict[str, str] = {}
    problems: list[Problem] = []
    at, read_to, before = 0, 0, ""  # the line where the last value ends, and its name
    while (start := _statement(text, at)) is not None:
        line = text.count("\n", 0, start) + 1
        try:
            name, value, at, unset = _setting(text, start, {**values, **environment})
        except _OpenQuote:
            fault = Fault.OPEN_QUOTE
        except MissingVariable:
            fault = Fault.REQUIRED
        except ValueError:
            fault = Fault.NO_SETTING
        else:
            if value is not None:
                values[name] = value
            if unset:
                problems.append(Problem(line, Fault.UNSET, name))
            before, read_to = name, text.count("\n", 0, at) + 1
            continue
        named = _NAMED.match(text, start)
        belongs = before if line == read_to else ""  # the text that follows a closed quotation mark on its line
        problems.append(Problem(line, fault, named["name"] if named else belongs))
        at = _line_end(text, start)
    return Dotenv(values, tuple(problems))


def _statement(text: str, at: int) -> int | None:
    """Return where the next statement begins, behind blank lines and comments; None at the end of the file."""
    while at < len(text):
        if text[at].isspace():
            at += 1
        elif text[at] == "#":
            at = _line_end(text, at)
        else:
            return at
    return None


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _setting(text: str, start: int, known: Mapping[str, str]) -> tuple[str, str | None, int, bool]:
    """Return name and value of the setting at `start`, the place behind it, and whether a variable was not set.

    The value is None for a name alone, which Compose takes from the environment.
    """
    found = _SETTING.match(text, start)
    if found is None:
        raise ValueError
    name, at = found["name"], found.end()
    if not found["sign"]:
        return name, known.get(name), at, False
    if text[at : at + 1] in ("'", '"'):
        raw, end = _quoted(text, at)
        if text[at] == "'":
            return name, raw, end, False
        raw = _escapes(raw)
    else:
        end = _line_end(text, at)
        raw = text[at:end].partition(" #")[0].rstrip()
    done = interpolate(raw, known.get)
    return name, done.text, end, done.unset


def _quoted(text: str, at: int) -> tuple[str, int]:
    """Return the text between the quotation mark at `at` and its like, and the place behind it."""
    mark, done = text[at], list[str]()
    pieces: Iterator[re.Match[str]] = re.finditer(r"\\.|.", text[at + 1 :], re.DOTALL)
    for piece in pieces:
        if piece[0] == mark:
            return "".join(done), at + 1 + piece.end()
        done.append(mark if piece[0] == f"\\{mark}" else piece[0])
    raise _OpenQuote


def _escapes(text: str) -> str:
    r"""Return the text of a double-quoted value with its escapes; `\$` is `$$` for the variables that come after."""

    def one(found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$$"
        if found["letter"]:
            return _LETTERS[found["letter"]]
        digits = found["octal"]
        return chr(int(digits, 8)) if _OCTAL.fullmatch(digits) else f"\\{digits}"

    return _ESCAPE.sub(one, text)
