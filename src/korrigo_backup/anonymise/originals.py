"""The original values of the columns that rules replace, in a temporary table in which the search looks them up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.anonymise.rules import Act
from korrigo_backup.anonymise.survivors import ADDRESS, with_rarest_word
from korrigo_backup.postgres.sql import literal

if TYPE_CHECKING:
    from korrigo_backup.anonymise.columns import Assigned, Ruled
    from korrigo_backup.postgres.client import Session

SHORT = 3
"""Values of so many characters are no word to search for."""

TEXT_ARRAYS = frozenset({"_text", "_varchar", "_bpchar", "_citext"})
"""PostgreSQL's names of the array types whose elements are text."""

NAME_IN_JSON = "[[:alpha:]] +[[:alpha:]]|[[:lower:]].*[[:upper:]]|[[:upper:]].*[[:lower:]]"
"""The regular expression of a string of JSON that looks like a name."""


def gather_originals(session: Session, assigned: Assigned) -> None:
    """Gather the original values, lower-case, in a temporary table, with the column of each."""
    session.run("CREATE TEMP TABLE originals (value text, source text)")
    for one in assigned.ruled:
        if not one.replaces:
            continue
        source, text = literal(one.name), f"t.{one.sql}::text"
        if one.column.is_text:
            but = f" AND {text} <> {literal(one.rule.argument)}" if one.rule.act is Act.CONSTANT else ""
            session.run(
                f"INSERT INTO pg_temp.originals SELECT DISTINCT lower(btrim({text})), {source}"
                f" FROM {one.table.sql} t WHERE length(btrim({text})) > {SHORT}{but}"
            )
            if one.rule.act is Act.FILES:
                session.run(
                    "INSERT INTO pg_temp.originals SELECT DISTINCT regexp_replace(value, '^.*/', ''), source FROM"
                    f" pg_temp.originals WHERE source = {source} AND value ~ '/[^/]{{{SHORT + 1},}}$'"
                )
        if parts := _parts(one):
            session.run(
                f"INSERT INTO pg_temp.originals SELECT DISTINCT lower(btrim(part)), {source} FROM {one.table.sql} t,"
                f" LATERAL {parts} WHERE length(btrim(part)) > {SHORT}"
            )
        if one.column.holds_words:
            session.run(
                f"INSERT INTO pg_temp.originals SELECT DISTINCT rtrim(m[1], '.-'), {source} FROM {one.table.sql} t,"
                f" LATERAL regexp_matches(lower({text}), {literal(ADDRESS)}, 'g') m"
            )
    session.run(
        f"CREATE TEMP TABLE original AS {with_rarest_word('pg_temp.originals')}; DROP TABLE pg_temp.originals;"
        " CREATE INDEX ON pg_temp.original USING hash (value);"
        " CREATE INDEX ON pg_temp.original USING hash (word); ANALYZE pg_temp.original"
    )


def _parts(one: Ruled) -> str | None:
    """Return the SQL of the texts inside of a column's value, alias `part`: elements of an array, strings of JSON.

    Of JSON only strings that look like a name count, with several words or with letters of both cases: a code of the
    site would be found everywhere.
    """
    if one.column.base in TEXT_ARRAYS:
        return f"unnest(t.{one.sql}::text[]) u(part)"
    if one.column.is_json:
        strings = f"jsonb_path_query(t.{one.sql}::jsonb, 'strict $.** ? (@.type() == \"string\")')"
        return f"(SELECT v #>> '{{}}' FROM {strings} v WHERE v #>> '{{}}' ~ {literal(NAME_IN_JSON)}) u(part)"
    return None
