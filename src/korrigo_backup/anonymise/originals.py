"""The original values of the columns that rules replace, in a temporary table in which the search looks them up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.anonymise.rules import Act
from korrigo_backup.anonymise.survivors import ADDRESS, with_rarest_word
from korrigo_backup.postgres.sql import literal

if TYPE_CHECKING:
    from korrigo_backup.anonymise.columns import Assigned
    from korrigo_backup.postgres.client import Session

SHORT = 3
"""Values of so many characters are no word to search for."""


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
