"""A file of rules to begin with: the columns that look personal by their names or by the classes of Django's fields."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from korrigo_backup.anonymise.columns import HASH_LENGTH
from korrigo_backup.anonymise.rules import EMPTIED, OF_THE_CODE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from korrigo_backup.anonymise.columns import CopyColumn, CopyTable

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

_KINDS = {"email": "faker:email", "file": "files:rename"}


def suggested(tables: Iterable[CopyTable], kinds: Mapping[tuple[str, str], str], locale: str) -> str:
    """Return a file of rules (TOML) for these tables; `kinds` are those of fields that Django knows to be personal."""
    whole = [one for one in tables if one.kind != "m" and not one.partition]
    emptied = [one.table for one in whole if one.table in EMPTIED]
    return "\n".join(_lines(whole, emptied, kinds, locale)) + "\n"


def _lines(
    tables: Iterable[CopyTable], emptied: Collection[str], kinds: Mapping[tuple[str, str], str], locale: str
) -> Iterator[str]:
    yield "# Rules of an anonymised copy, to be looked through and changed: docs/how-to/anonymised-copy.md"
    yield "# Columns that begin with # are kept as they are. With strict = true a column of text without a rule"
    yield '# refuses the copy; "keep" is the rule of a harmless one.'
    yield "strict = false"
    yield f"locale = {_quoted(locale)}"
    yield f"empty = [{', '.join(map(_quoted, emptied))}]"
    yield 'other_files = "remove"  # files that no column below names'
    for table in tables:
        if table.table in emptied or table.table in OF_THE_CODE:
            continue
        rules = {column.name: _rule(table, column, kinds) for column in table.columns}
        asked = [column for column in table.columns if rules[column.name] or column.holds_words]
        if not asked:
            continue
        yield ""
        yield f"[tables.{_key(table.name)}]"
        for column in asked:
            rule, head = rules[column.name], ""
            if column.key or column.generated:
                rule, head = rule or "keep", "# a key, or computed, which stays: "
            yield f"{head or ('' if rule else '# ')}{_key(column.name)} = {_quoted(rule or 'keep')}"


def _rule(table: CopyTable, column: CopyColumn, kinds: Mapping[tuple[str, str], str]) -> str:
    """Return the rule for a column that looks personal, "" for another."""
    kind = kinds.get((table.table, column.name))
    if kind == "file" and column.length is not None and column.length < _RENAMED:
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
