"""The explanations: read from the data files of this folder, found by id, and recognised in the text of an error.

Each file is a TOML document. A table is an entry if it has a `symptom`; its dotted name is the id of the finding or
error. `next` holds the commands, which are the same in each language; `advice` is a sentence about them. `words` are
regular expressions for the output of other programs (PostgreSQL, Docker, a shell, Django): our own output has the id.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.language import Language  # noqa: TC001 - msgspec reads it when it converts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_SHOWN = 3
"""Explanations of one text, and names that are suggested for an unknown one."""

_EXIT = "exit."

_GOOD = re.compile(r'"id":\s*"[^"]*",\s*"level":\s*"ok"')

_IN_CONTAINER = re.compile(r"^\$compose exec (-u root )?\$(db|backend) ")


class Explanation(msgspec.Struct, frozen=True):
    """The explanation of an id. `symptom`, `cause` and `advice` are texts by language; `advice` may be empty.

    `next` holds command lines, in which `$compose`, `$db`, `$backend`, `$database`, `$user`, `$backups` and `$media`
    stand for those of the site, `$program` for pip's argument that installs this program. `psql -U postgres` is the
    superuser's psql, which `superuser` replaces on a server of this machine.
    """

    id: str
    symptom: dict[Language, str]
    cause: dict[Language, str]
    next: tuple[str, ...] = ()
    advice: dict[Language, str] = {}
    words: tuple[str, ...] = ()

    def commands(self, values: Mapping[str, str]) -> list[str]:
        """Return the command lines for a site; a name that `values` does not have stays.

        Without `compose` in `values` the site is reached directly: a command for a container is run as it is, its psql
        with the address `$at`. Other commands of Compose are left out.
        """
        lines = list(self.next)
        if "compose" not in values:
            superuser = values.get("superuser", "psql $at -U postgres")
            lines = [_IN_CONTAINER.sub("", one).replace("psql -U postgres", superuser) for one in lines]
            lines = [one.replace("psql -U", "psql $at -U") for one in lines]
            lines = [one for one in lines if "$compose" not in one and not one.startswith("docker ")]
        return [Template(one).safe_substitute(values) for one in lines]


def load() -> dict[str, Explanation]:
    """Return all explanations by id, in the order of the files."""
    found: dict[str, Explanation] = {}
    files = (one for one in resources.files(__package__).iterdir() if one.name.endswith(".toml"))
    for file in sorted(files, key=lambda one: one.name):
        document = tomllib.loads(file.read_text(encoding="utf-8"))
        for id_, entry in _entries(document, ""):
            if id_ in found:
                raise ValueError(f"{file.name}: {id_} stands twice")
            found[id_] = msgspec.convert({"id": id_, **entry}, Explanation, strict=True)
    return found


def _entries(table: dict[str, object], above: str) -> Iterator[tuple[str, dict[str, object]]]:
    for name, inner in table.items():
        if isinstance(inner, dict):
            id_ = f"{above}{name}"
            if "symptom" in inner:
                yield id_, inner
            else:
                yield from _entries(inner, f"{id_}.")


def recognised(text: str, known: Mapping[str, Explanation]) -> list[Explanation]:
    """Return the explanations for the output of a command, those of named ids first; at most three.

    The id that the hint of an error names is certain. The words of other programs are looked for only without one.
    """
    if named := _named(text, known):
        return named[:_SHOWN]
    places = [
        (found.start(), one)
        for one in known.values()
        for word in one.words
        if (found := re.search(word, text, re.MULTILINE))
    ]
    by_place = sorted(places, key=lambda place: place[0])
    return list({one.id: one for _, one in by_place}.values())[:_SHOWN]


def _named(text: str, known: Mapping[str, Explanation]) -> list[Explanation]:
    """Return the explanations of the ids in a text; those of good findings in a JSON document are passed over."""
    text = _GOOD.sub("", text)
    found = re.findall(r"(?<![\w./-])([a-z_]+(?:\.[A-Za-z0-9_-]+)+)(?![\w/-])", text)
    return list({id_: known[id_] for id_ in found if id_ in known}.values())


def find(name: str, known: Mapping[str, Explanation]) -> list[Explanation]:
    """Return the explanations for a typed name: an id, the number of an exit code, or words of an error."""
    id_ = name.strip().rstrip(".:,")
    if id_.isdigit():
        id_ = f"{_EXIT}{id_}"
    if same := [one for one in known.values() if one.id.casefold() == id_.casefold()]:
        return same
    return recognised(name, known)


def group(name: str, known: Mapping[str, Explanation]) -> dict[str, Explanation]:
    """Return the explanations of a group, whose name is the part of the ids before the first point."""
    return {id_: one for id_, one in known.items() if id_.partition(".")[0] == name.strip().casefold()}


def nearest(name: str, ids: Sequence[str]) -> list[str]:
    """Return the ids that resemble an unknown name, the nearest first: by its letters, else by its last word."""
    close = difflib.get_close_matches(name, ids, n=_SHOWN, cutoff=0.6)
    word = re.split(r"[.\s]", name.strip().lower())[-1]
    return close or [id_ for id_ in ids if len(word) > 2 and word in id_][:_SHOWN]  # noqa: PLR2004 - "a" is in each


def exit_id(code: int) -> str:
    """Return the id of the explanation of an exit code."""
    return f"{_EXIT}{code}"
