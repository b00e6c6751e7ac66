"""Search a whole copy for the original values that its rules have replaced.

The server searches, in temporary tables of the session that has replaced the values. An address is found inside of any
text. Another value is found as the whole value of a column, as a string of JSON, and as words inside of a text that no
rule has replaced: there its longest word is looked up first, then all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.anonymise.columns import CATALOG, CopyTable
from korrigo_backup.anonymise.rules import OF_THE_CODE
from korrigo_backup.postgres.sql import identifier, literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.anonymise.columns import Assigned, CopyColumn
    from korrigo_backup.postgres.client import Session

_MARKS = " \t\r\n!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\u00a0«»“”„‘’…–—"

ADDRESS = r"""([^[:space:]"'<>@:;,=()/\\&?]+@[[:alnum:]][[:alnum:].-]*)"""
"""The pattern of a mail address in text in lower case."""


def separated(text: str) -> str:
    """Return the expression of the words of a text, as an array; some are empty."""
    return f"string_to_array(translate({text}, {literal(_MARKS)}, {literal(' ' * len(_MARKS))}), ' ')"


def distinctive(value: str) -> str:
    """Return the expression of the longest word: of an address before the @, of a path in its last part."""
    part = (
        f"CASE WHEN {value} ~ '^[^@[:space:]]+@' THEN split_part({value}, '@', 1)"
        f" WHEN {value} ~ '/[^/]*[[:alnum:]][^/]*$' THEN regexp_replace({value}, '^.*/', '') ELSE {value} END"
    )
    return f"(SELECT w FROM unnest({separated(part)}) w WHERE w <> '' ORDER BY length(w) DESC, w LIMIT 1)"


@dataclass(frozen=True)
class Survivor:
    """A column that still holds an original value of a column `of` the rules."""

    column: str
    of: str


def survivors(session: Session, assigned: Assigned, accept: frozenset[str]) -> tuple[list[Survivor], int]:
    """Return the columns with an original value, and the number of columns that were searched.

    Columns of `accept` and the tables that Django makes from the code are not searched.
    """
    replaced = {one.name for one in assigned.ruled if one.replaces}
    found, number = [], 0
    for table in session.ask(CATALOG, tuple[CopyTable, ...]):
        if table.table in OF_THE_CODE or (table.kind == "p") or (table.kind == "m" and not table.populated):
            continue
        for column in table.columns:
            name = f"{table.name}.{column.name}"
            if not column.holds_words or name in accept:
                continue
            number += 1
            queries = " UNION ALL ".join(_queries(table, column, words=name not in replaced))
            found += [
                Survivor(name, one)
                for one in session.ask(
                    f"SELECT coalesce(json_agg(source), '[]') FROM (SELECT min(source) AS source FROM ({queries}) q"
                    " HAVING count(*) > 0) f",
                    list[str],
                )
            ]
    return found, number


def _queries(table: CopyTable, column: CopyColumn, *, words: bool) -> Iterator[str]:
    """Yield the queries for the sources of original values in a column, each at most one row."""
    value = f"t.{identifier(column.name)}"
    text, only = f"lower({value}::text)", "" if table.kind == "m" else "ONLY "
    source = f"{only}{table.sql} t"
    yield _whole(source, f"btrim({text})")
    yield _addresses(source, text)
    if column.is_json:
        strings = f"jsonb_path_query({value}::jsonb, 'strict $.** ? (@.type() == \"string\")') s"
        inside = f"{source}, LATERAL (SELECT lower(s.s #>> '{{}}') AS v FROM {strings}) j"
        yield _whole(inside, "btrim(j.v)")
        yield _addresses(inside, "j.v")
        if words:
            yield _words(inside, "j.v")
    if column.category == "A":
        inside = f"{source}, LATERAL (SELECT lower(e) AS v FROM unnest({value}::text[]) e) j"
        yield _whole(inside, "btrim(j.v)")
    if words:
        yield _words(source, text)


def _whole(source: str, text: str) -> str:
    return f"(SELECT o.source FROM {source} JOIN pg_temp.original o ON o.value = {text} LIMIT 1)"


def _addresses(source: str, text: str) -> str:
    return (
        f"(SELECT o.source FROM {source}, LATERAL regexp_matches({text}, {literal(ADDRESS)}, 'g') m"
        f" JOIN pg_temp.original o ON o.value = rtrim(m[1], '.-') WHERE {text} LIKE '%@%' LIMIT 1)"
    )


def _words(source: str, text: str) -> str:
    return (
        f"(SELECT o.source FROM {source}, LATERAL unnest({separated(text)}) AS u (word)"
        f" JOIN pg_temp.original o ON o.word = u.word WHERE strpos({text}, o.value) > 0 LIMIT 1)"
    )
