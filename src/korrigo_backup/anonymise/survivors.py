"""Search a whole copy for the original values that its rules have replaced.

The server searches, in temporary tables of the session that has replaced the values. An address is found inside of any
text. Another value is found as the whole value of a column, as a string of JSON, and as words inside of a text that no
rule has replaced: there its rarest word is looked up first, then all of it.
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

PLANS = "SET LOCAL enable_nestloop = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off"
"""The server expects a survivor soon, and would compare each row with each original; a hash join reads both once."""


def separated(text: str) -> str:
    """Return the expression of the words of a text, as an array; some are empty."""
    return f"string_to_array(translate({text}, {literal(_MARKS)}, {literal(' ' * len(_MARKS))}), ' ')"


def with_rarest_word(values: str) -> str:
    """Return the query of the columns (value, source, word) for a table of values and sources.

    `word` is the word of a value that the fewest values have, so that a text is compared with few of them.
    """
    return (
        f"WITH whole AS (SELECT value, min(source) AS source FROM {values} GROUP BY value),"
        f" words AS (SELECT DISTINCT v.value, u.word FROM whole v, LATERAL unnest({separated('v.value')}) AS u (word)"
        " WHERE u.word <> ''),"
        " often AS (SELECT word, count(*) AS number FROM words GROUP BY word),"
        " rarest AS (SELECT DISTINCT ON (w.value) w.value, w.word FROM words w JOIN often o ON o.word = w.word"
        " ORDER BY w.value, o.number, length(w.word) DESC, w.word)"
        " SELECT w.value, w.source, r.word FROM whole w LEFT JOIN rarest r ON r.value = w.value"
    )


@dataclass(frozen=True)
class Survivor:
    """A column that still holds an original value of a column `of` the rules."""

    column: str
    of: str


def survivors(session: Session, assigned: Assigned, accept: frozenset[str]) -> tuple[list[Survivor], int]:
    """Return the columns with an original value, and the number of columns that were searched.

    Columns of `accept` and the tables that Django makes from the code are not searched.
    """
    session.run(PLANS)
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
            found += [Survivor(name, one) for one in sources(session, table, column, words=name not in replaced)]
    return found, number


def sources(session: Session, table: CopyTable, column: CopyColumn, *, words: bool) -> list[str]:
    """Return the first ruled column of which a column holds an original value, [] if it holds none.

    With `words` values are also searched as words inside of its texts.
    """
    queries = " UNION ALL ".join(_queries(table, column, words=words))
    return session.ask(
        f"SELECT coalesce(json_agg(source), '[]') FROM (SELECT min(source) AS source FROM ({queries}) q"
        " HAVING count(*) > 0) f",
        list[str],
    )


def _queries(table: CopyTable, column: CopyColumn, *, words: bool) -> Iterator[str]:
    """Yield the queries for the sources of original values in a column, each at most one row."""
    value = f"t.{identifier(column.name)}"
    text, only = f"lower({value}::text)", "ONLY " if table.kind == "r" else ""
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
