"""A file of rules to begin with: those that the site declares, and rules of the columns that look personal.

They look so by their names, by the classes of Django's fields, or by their values (`found_values.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from korrigo_backup.anonymise.columns import HASH_LENGTH, Ruled, obstacle
from korrigo_backup.anonymise.rules import EMPTIED, OF_THE_CODE, parse_rule

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from korrigo_backup.anonymise.columns import CopyColumn, CopyTable
    from korrigo_backup.anonymise.scrubbers import DeclaredScrubber

_NAMES = (
    (r"(e_?)?mail(_?address)?|courriel|.*_email|email_.*", "faker:email"),
    (r"first_?name|given_?name|prenom|forename", "faker:first_name"),
    (r"last_?name|sur_?name|family_?name|nom|nom_famille", "faker:last_name"),
    (r"full_?name|display_?name|real_?name", "faker:name"),
    (r"user_?name|login|pseudo", "faker:user_name"),
    (r"password|mot_de_passe", "constant:!"),
    (r"(.*_)?(phone|telephone|mobile|fax)(_?number)?|tel", "faker:phone_number"),
    (r"(.*_)?(address|street|adresse|rue)(_?line)?_?\d?", "faker:street_address"),
    (r"city|town|ville", "faker:city"),
    (r"zip(_?code)?|post(al)?_?code|code_postal", "faker:postcode"),
    (r"iban", "faker:iban"),
    (r"birth_?da(te|y)|date_of_birth|dob|date_naissance", "faker:date_of_birth"),
    (r"(.*_)?(token|secret|api_?key)", "hash"),
)
"""Names of columns that hold personal data, and a rule for them."""

_KINDS = {"email": "faker:email", "file": "files:rename", "path": "files:rename"}
"""Rules for the kinds of fields that the site's Django or its configuration names."""

ColumnName = tuple[str, str]
"""The names of a table (`CopyTable.name`) and of a column."""


@dataclass(frozen=True)
class SiteFields:
    """The knowledge of a site about its columns, by the plain names of table and column.

    `kinds` are those of `_KINDS`, `choices` the values of a field with choices, `declared` the scrubbers of its models.
    """

    kinds: Mapping[tuple[str, str], str] = field(default_factory=dict)
    choices: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    declared: Mapping[tuple[str, str], DeclaredScrubber] = field(default_factory=dict)


@dataclass(frozen=True)
class FoundRules:
    """The rules of columns, found by their names or by their values.

    `reasons` are those of rules found by values, and of columns that would need a rule and can take none. `accept` are
    columns whose values are no persons, with the reason.
    """

    rules: Mapping[ColumnName, str]
    reasons: Mapping[ColumnName, str] = field(default_factory=dict)
    accept: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    """The reason for which the values were not searched."""


_UNKNOWN = SiteFields()


def ruled_tables(tables: Iterable[CopyTable]) -> tuple[list[CopyTable], list[str]]:
    """Return the tables that get rules, and the names of those that are emptied."""
    whole = [one for one in tables if one.kind != "m" and not one.partition]
    emptied = [one.table for one in whole if one.table in EMPTIED]
    return [one for one in whole if one.table not in emptied and one.table not in OF_THE_CODE], emptied


def named_rules(
    tables: Iterable[CopyTable], fields: SiteFields = _UNKNOWN, but: Collection[str] = ()
) -> dict[ColumnName, str]:
    """Return the rules that a site declares, and those of columns that look personal by their names.

    The columns named in `but` get none unless they have a declared rule.
    """
    found = {}
    for table in ruled_tables(tables)[0]:
        for column in table.columns:
            declared = fields.declared.get((table.table, column.name))
            rule = (declared.rule or declared.near) if declared else ""
            if rule and obstacle(Ruled(table, column, parse_rule(rule, column.name))):
                rule = ""
            if not rule and f"{table.name}.{column.name}" not in but:
                rule = _rule(table, column, fields.kinds)
            if rule:
                found[table.name, column.name] = rule
    return found


def declared_reasons(tables: Iterable[CopyTable], fields: SiteFields) -> dict[ColumnName, str]:
    """Return the reasons of the rules that stand in the place of a declared scrubber that no rule equals."""
    return {
        (table.name, column.name): f"in place of the scrubber {one.kind}"
        for table in ruled_tables(tables)[0]
        for column in table.columns
        if (one := fields.declared.get((table.table, column.name))) and not one.rule
    }


def suggested(tables: tuple[CopyTable, ...], found: FoundRules, locale: str) -> str:
    """Return a file of rules (TOML) for these tables."""
    ruled, emptied = ruled_tables(tables)
    return "\n".join((*_head(emptied, found, locale), *_lines(ruled, found))) + "\n"


def _head(emptied: Collection[str], found: FoundRules, locale: str) -> Iterator[str]:
    yield "# Rules of an anonymised copy, to be looked through and changed: docs/how-to/anonymised-copy.md"
    yield "# Columns that begin with # are kept as they are. With strict = true a column of text without a rule"
    yield '# refuses the copy; "keep" is the rule of a harmless one.'
    if found.problem:
        yield f"# Names of columns alone were looked at, not their values: {found.problem}"
    yield "strict = false"
    yield f"locale = {_quoted(locale)}"
    yield f"empty = [{', '.join(map(_quoted, emptied))}]"
    if found.accept:
        yield "accept = [  # an original value in these columns is no person"
        for name, reason in found.accept.items():
            yield f"  {_quoted(name)},  # {reason}"
        yield "]"
    yield 'other_files = "remove"  # files that no column below names'


def _lines(tables: Iterable[CopyTable], found: FoundRules) -> Iterator[str]:
    for table in tables:
        rules = {column.name: found.rules.get((table.name, column.name), "") for column in table.columns}
        asked = [column for column in table.columns if rules[column.name] or column.holds_words]
        if not asked:
            continue
        yield ""
        yield f"[tables.{_key(table.name)}]"
        for column in asked:
            rule, head = rules[column.name], ""
            reason = found.reasons.get((table.name, column.name), "")
            if column.key or column.generated:
                rule, head = rule or "keep", "# a key, or computed, which stays: "
            known = rule or f"{table.name}.{column.name}" in found.accept
            line = f"{head or ('' if known else '# ')}{_key(column.name)} = {_quoted(rule or 'keep')}"
            yield f"{line}  # {reason}" if reason else line


def _rule(table: CopyTable, column: CopyColumn, kinds: Mapping[tuple[str, str], str]) -> str:
    """Return the rule for a column that looks personal, "" for another."""
    kind = kinds.get((table.table, column.name))
    if kind in {"file", "path"} and (not column.is_text or (column.length or _RENAMED) < _RENAMED):
        return "files:placeholder"
    if kind:
        return _KINDS[kind]
    rule = next((rule for names, rule in _NAMES if re.fullmatch(names, column.name, re.IGNORECASE)), "")
    is_date = rule == "faker:date_of_birth"
    fits = column.category == "D" if is_date else column.is_text
    if not rule or not fits:
        return ""
    rule = "hash" if column.unique and rule.startswith("constant") else rule
    is_short = column.length is not None and column.length < HASH_LENGTH
    return rule if rule != "hash" or not is_short else "" if column.unique else "empty"


_RENAMED = 60


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)
