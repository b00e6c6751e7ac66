"""Values of a backup that the live column does not hold as they were: a narrower type rounds or cuts them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET
from msgspec.structs import replace

from korrigo_backup.core.counted import counted
from korrigo_backup.core.finding import Finding, Level, error, first_error
from korrigo_backup.errors import Refused
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.rescue.closure import PICKED
from korrigo_backup.rescue.objects import written_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from korrigo_backup.postgres.client import Session
    from korrigo_backup.rescue.staged_rows import StagedTable

_ZONE = " with time zone"
_NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric", "real", "double precision"})
_SAME = "pg_temp.korrigo_backup_same"

NARROWER = "rescue.narrower_type"
"""The finding, and the word with which a person accepts it."""


def rounded_values(
    session: Session, table: StagedTable, rows: Callable[[str], list[str]], *, accepted: bool
) -> list[Finding]:
    """Return a finding for each column of a table with values that the live type does not hold.

    `rows` returns for a column the conditions on rows `t` of the backup whose value comes back. The finding is an error
    unless a person has accepted it.
    """
    found = []
    for column, saved in table.saved_types.items():
        conditions = rows(column)
        count, key = misfits(session, table, column, saved, " OR ".join(conditions)) if conditions else (0, None)
        if not count:
            continue
        live = table.live.types[column]
        bad = error(
            "rescue.narrower_type",
            f"{table.live.name}.{column} was {saved} in the backup, and is {live}: {counted(count, 'value')} would not"
            " be as in the backup",
            f"give the column its former type first, or take the values as it holds them: --accept {NARROWER}",
        )
        row = f"one of them: {written_object(table.live.name, key)}" if key else UNSET
        found.append(replace(bad, level=Level.WARNING if accepted else Level.ERROR, detail=row))
    return found


def picked_values(table: StagedTable) -> Callable[[str], list[str]]:
    """Return the conditions on rows `t` of the backup that come back as they are in a column."""

    def conditions(column: str) -> list[str]:
        name = identifier(column)
        same = f"{table.same('g', 't')} AND CAST(g.{name} AS text) IS NOT DISTINCT FROM CAST(t.{name} AS text)"
        return [f"EXISTS (SELECT FROM {table.gone} g WHERE g.{PICKED} AND {same})"]

    return conditions


def require_held(findings: Iterable[Finding]) -> None:
    """Raise Refused with the first error among the findings of a plan."""
    if bad := first_error(findings):
        raise Refused(bad.message, hint=bad.hint, detail=bad.detail or "", id_=bad.id)


def holds_less(findings: Iterable[Finding]) -> bool:
    """Return whether values came back otherwise than they are in the backup, which a person has accepted."""
    return any(one.id == NARROWER for one in findings)


def misfits(
    session: Session, table: StagedTable, column: str, saved: str, condition: str
) -> tuple[int, tuple[str, ...] | None]:
    """Return the number of values that are not those of the backup, and the key of a row of them."""
    live = table.live.types[column]
    values = (f"CAST(t.{identifier(column)} AS text)", f"t.{table.saved_text(column)}")
    key = f"min({table.key_text('t')})" if table.has_key else "NULL::text[]"

    def count(now: str, then: str) -> tuple[int, tuple[str, ...] | None]:
        same = f"coalesce({_SAME}({now}, {then}), false)" if now != "NULL" else "false"
        differ = f"({condition}) AND {now} IS DISTINCT FROM {then} AND NOT {same}"
        query = f"SELECT json_build_array(count(*), {key}) FROM {table.then} t WHERE {differ}"
        return session.ask(query, tuple[int, tuple[str, ...] | None])

    if _has_zone(saved) != _has_zone(live):  # nobody can tell which zone is meant
        return count("NULL", values[1])
    if saved == "boolean":  # the texts t and f
        return count("NULL", values[1])
    _define_same(session, saved, live)
    return count(*values)


def _define_same(session: Session, saved: str, live: str) -> None:
    """Define the comparison of two different texts: of numbers, else in the words of the saved type.

    A text that a type does not take would end the session, so a function catches it. Nothing of `saved` is run before
    the server has read it as the name of a type.
    """
    now, then = (f"CAST({one} AS {saved})" for one in ("now", "saved"))
    same = f"CAST({now} AS text) IS NOT DISTINCT FROM CAST({then} AS text)"
    if _is_number(saved) and _is_number(live):
        same = "CAST(now AS numeric) = CAST(saved AS numeric)"
    head = f"CREATE OR REPLACE FUNCTION {_SAME}(now text, saved text) RETURNS bool LANGUAGE plpgsql AS "
    body = f"BEGIN RETURN {same}; EXCEPTION WHEN OTHERS THEN RETURN false; END"
    session.run(head + literal("BEGIN RETURN false; END"))
    define = f"EXECUTE {literal(head + literal(body))}"
    known = f"IF to_regtype({literal(saved)}) IS NOT NULL THEN {define}; END IF"
    session.run("DO " + literal(f"BEGIN {known}; EXCEPTION WHEN OTHERS THEN NULL; END"))


def _is_number(kind: str) -> bool:
    return kind.partition("(")[0] in _NUMBERS


def _has_zone(kind: str) -> bool:
    return _ZONE in kind
