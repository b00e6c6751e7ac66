"""Objects by the names that a person types: `exams.Exam:12`, `exam:12`, `exams_exam:12`, `exams_mark:(12,"B, left")`.

The part before the first colon outside of quotation marks is a model or a table, the rest is the key. A model
is `app.Model` or its name alone, in any case of letters; a table is its name with a schema or without, as SQL writes
it. A key of several columns stands in parentheses, its values separated by commas. There a value with a comma, a
parenthesis, a quotation mark or a blank at its ends stands in quotation marks, and a quotation mark in it is doubled.
A single value is taken as it stands, unless it begins with a parenthesis: then it is written the same way, `(…)`.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.core.excerpt import listed
from korrigo_backup.core.sqlname import normal_name, plain_name
from korrigo_backup.errors import NotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from korrigo_backup.core.site_description import TableName

_OBJECT = re.compile(r'((?:"(?:[^"]|"")+"|[^":])+):(.+)', re.DOTALL)
_VALUE = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",()\s](?:[^",()]*[^",()\s])?))\s*(?:,|\Z)', re.DOTALL)
_NEEDS_MARKS = re.compile(r'[",()]|^\s|\s$|^$')
_PARTS = re.compile(r'"(?:[^"]|"")+"|[^."]+')

_MODEL = re.compile(r"\w+(?:\.\w+)?")

_NEAR = 0.8
"""The likeness (difflib) from which on a name is near: a letter in five may differ."""

HOW = "write MODEL:KEY, for example exams.Exam:12, or TABLE:KEY, for example exams_exam:12"


@dataclass(frozen=True)
class TypedObject:
    """An object as it was typed: the model or table, and the values of its key."""

    model: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class NamedTable:
    """A table by the name that a dump gives it (qualified, quoted as SQL needs it), and the model's label, if any.

    `note` says how the table was found if no description of the site has named it, "" otherwise.
    """

    table: str
    label: str = ""
    note: str = ""


def parse_object(text: str) -> TypedObject:
    """Return the object of `MODEL:KEY`; UsageError for another text."""
    found = _OBJECT.fullmatch(text.strip())
    if found is None:
        if _MODEL.fullmatch(text.strip()):
            raise UsageError(
                f"{text!r} names no object: its key is missing", hint=f"write {text}:KEY, for example {text}:12"
            )
        raise UsageError(f"{text!r} names no object", hint=HOW)
    return TypedObject(found[1].strip(), _values(found[2]))


def written_object(model: str, values: Iterable[str]) -> str:
    """Return an object as `parse_object` reads it."""
    several = tuple(values)
    if len(several) == 1 and not several[0].startswith("(") and several[0].strip() == several[0] != "":
        return f"{model}:{several[0]}"
    marked = ['"' + one.replace('"', '""') + '"' if _NEEDS_MARKS.search(one) else one for one in several]
    return f"{model}:({','.join(marked)})"


def _values(text: str) -> tuple[str, ...]:
    if not (text.startswith("(") and text.endswith(")")):
        return (text,)
    inner, values, at = text[1:-1], list[str](), 0
    while found := _VALUE.match(inner, at):
        values.append(found[2] if found[1] is None else found[1].replace('""', '"'))
        at = found.end()
        if not found[0].endswith(","):
            return tuple(values)
    raise UsageError(
        f"{text!r} is not a key of several values",
        hint='write (12,B), and in quotation marks a value with a comma or a parenthesis: (12,"B, left")',
    )


def find_table(
    model: str, labels: Mapping[str, TableName] | None, tables: Collection[str], visible: Collection[str] = ()
) -> NamedTable:
    """Return the table that a person means by a model or a table.

    `labels` gives the table of each model by its label in small letters (`exams.exam`); None if Django could not be
    asked. `tables` are the qualified names of all tables, live and saved; `visible` are the schemas in which the site's
    role finds a table, best first. Raises NotFound, with names that are near, and UsageError for several meanings.
    """
    wanted = model.strip()
    if labels is not None and (label := _label(wanted, labels)):
        if found := _as_table(labels[label].table, labels[label].schema, tables, visible):
            return NamedTable(found, label)
        raise NotFound(
            f"the table of {label}, {labels[label].table}, is neither in the database nor in a backup",
            hint="its migration was not applied yet: korrigo-backup show latest lists the saved tables",
            id_="rescue.no_table",
        )
    if found := _typed_table(wanted, tables, visible):
        return NamedTable(found, _label_of(found, labels or {}))
    if labels is None and (guessed := _default_table(wanted, tables, visible)):
        return NamedTable(guessed, note=f"taken for the table of {wanted} by its name: the site's Django was not asked")
    raise _unknown(wanted, labels or {}, tables)


def _label(wanted: str, labels: Mapping[str, TableName]) -> str | None:
    small = wanted.lower()
    if small in labels:
        return small
    alike = [label for label in labels if label.rpartition(".")[2] == small]
    if len({labels[label] for label in alike}) > 1:
        raise UsageError(f"{wanted} is a model of several apps", hint=f"write one of {listed(sorted(alike))}")
    return alike[0] if alike else None


def _label_of(table: str, labels: Mapping[str, TableName]) -> str:
    plain = plain_parts(table)[1]
    return next((label for label, one in labels.items() if one.table == plain), "")


def _as_table(table: str, schema: str | None, tables: Collection[str], visible: Collection[str]) -> str | None:
    """Return the qualified name of a table by its plain name."""
    alike = [name for name in tables if plain_parts(name)[1] == table]
    if schema is not None:
        return next((name for name in alike if plain_parts(name)[0] == schema), None)
    order = [*visible, "public"]
    alike.sort(key=lambda name: order.index(own) if (own := plain_parts(name)[0]) in order else len(order))
    return alike[0] if alike else None


def _typed_table(wanted: str, tables: Collection[str], visible: Collection[str]) -> str | None:
    if (name := normal_name(wanted)) in tables:
        return name
    parts = _PARTS.findall(wanted)
    return _as_table(plain_name(parts[0]), None, tables, visible) if len(parts) == 1 else None


def _default_table(wanted: str, tables: Collection[str], visible: Collection[str]) -> str | None:
    """Return the table that Django makes for a model unless it is named otherwise: `app_model`."""
    app, dot, model = wanted.lower().rpartition(".")
    if dot:
        return _as_table(f"{app}_{model}", None, tables, visible)
    alike = [name for name in tables if plain_parts(name)[1].endswith(f"_{model}")]
    if len(alike) > 1:
        raise UsageError(f"{wanted} may be one of {len(alike)} tables", hint=f"write one of {listed(sorted(alike))}")
    return alike[0] if alike else None


def plain_parts(name: str) -> tuple[str, str]:
    """Return schema and table of a qualified name without quotation marks."""
    parts = [plain_name(part) for part in _PARTS.findall(name)]
    return (parts[0], parts[-1]) if len(parts) > 1 else ("", parts[-1])


def qualified(named: TableName, tables: Collection[str]) -> str:
    """Return the live table of a model; without a schema the one in `public`, else the only one; "" without one."""
    found = [
        name for name in tables if plain_parts(name)[1] == named.table and named.schema in {None, plain_parts(name)[0]}
    ]
    in_public = next((name for name in found if plain_parts(name)[0] == "public"), "")
    return in_public or (found[0] if len(found) == 1 else "")


def _unknown(wanted: str, labels: Mapping[str, TableName], tables: Collection[str]) -> NotFound:
    known = {**{plain_parts(name)[1]: name for name in tables}, **{label: label for label in labels}}
    known |= {label.rpartition(".")[2]: label for label in labels}
    near = list(dict.fromkeys(known[one] for one in difflib.get_close_matches(wanted.lower(), known, 5, _NEAR)))
    hint = f"did you mean {' or '.join(near)}?" if near else f"{HOW}; korrigo-backup show latest lists the saved tables"
    return NotFound(f"there is no model or table {wanted}", hint=hint, id_="rescue.no_table")
