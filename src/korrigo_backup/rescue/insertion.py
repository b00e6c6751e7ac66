"""Insert the picked rows into the live tables, or overwrite live rows with them, and prove them; a trial takes it back.

The rows of tables that refer to each other in a circle are inserted by one statement: the server looks at foreign keys
at the end of a statement.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.postgres.site_path import FROM_SITE_PATH
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.rescue.closure import PICKED
from korrigo_backup.rescue.staged_rows import OVER, ROW
from korrigo_backup.rescue.steps.overwriting import exchanges, overwriting
from korrigo_backup.rescue.steps.transaction import in_steps
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from korrigo_backup.postgres.client import Session
    from korrigo_backup.rescue.relations import RowRelation
    from korrigo_backup.rescue.staged_rows import StagedRows, StagedTable

_TAKEN_BACK = "KB000"
"""SQLSTATE of ours with which a trial takes its changes back."""

_TROUBLE = ("40", "53", "55", "57", "58", "XX")
"""Classes of SQLSTATE that say nothing about the rows: locks, a full disk, a server that stops."""


_MOST = 2000
"""Conflicts of a trial: the array is copied for each of them, and a trial is repeated without the rows left out."""


NOT_NULL = "23502"
"""The SQLSTATE of a NULL in a column that takes none."""

_WITH_WHOLE_ROW = frozenset({NOT_NULL, "23514", "23P01"})
"""Errors whose detail, in the words of the server, has a whole row: hashes of passwords and tokens, too."""


class TrialConflict(msgspec.Struct, frozen=True):
    """A row that the live database does not take: the server's code, constraint, column and words.

    `row` is 0 for rows that are refused only together.
    """

    table: str
    row: int
    code: str
    constraint: str
    column: str
    message: str
    detail: str

    @property
    def detail_without_row(self) -> str:
        """The detail, "" where it has a whole row."""
        return "" if self.code in _WITH_WHOLE_ROW else self.detail


class TriedInsertion(msgspec.Struct, frozen=True):
    """The result of a trial: conflicts, or for each table how many of its rows the site's triggers have changed."""

    conflicts: tuple[TrialConflict, ...] = ()
    changed: dict[str, int] = {}


def picked(rows: StagedRows, counts: dict[str, int]) -> list[StagedTable]:
    """Return the tables that have picked rows."""
    return [rows.tables[name] for name, count in counts.items() if count]


def statements(tables: Sequence[StagedTable], relations: Sequence[RowRelation], condition: str = PICKED) -> list[str]:
    """Return the statements that insert the picked rows, parents before children."""
    return [_inserting(group, condition) for group in in_order(tables, relations)]


def in_order(tables: Sequence[StagedTable], relations: Sequence[RowRelation]) -> list[list[StagedTable]]:
    """Return the tables in groups: each refers to those before it, and in a circle to those of its own group."""
    left = {one.live.name: one for one in tables}
    groups = []
    while left:
        needs = {
            name: {r.to for r in relations if r.table == name and r.constrained and r.to != name and r.to in left}
            for name in left
        }
        free = [name for name, others in needs.items() if not others]
        for name in free or [""]:
            group = [name] if name else sorted(_smallest_circle(needs))
            groups.append([left.pop(one) for one in group])
    return groups


def _smallest_circle(needs: dict[str, set[str]]) -> set[str]:
    """Return a set of tables, as small as possible, that refer to no other table of `needs`."""
    best = set(needs)
    for name in needs:
        reached, waiting = {name}, [name]
        while waiting:
            fresh = needs[waiting.pop()] - reached
            reached |= fresh
            waiting += fresh
        best = min(best, reached, key=len)
    return best


def _inserting(group: Sequence[StagedTable], condition: str) -> str:
    over = [(f"o{one.number}", overwriting(one, condition)) for one in group if one.overwrites]
    return in_steps(over, [(f"i{one.number}", inserting(one, condition)) for one in group])


def inserting(table: StagedTable, condition: str = PICKED) -> str:
    """Return the statement that inserts the picked rows of a table; it ends with their condition."""
    columns = ", ".join(map(identifier, table.written))
    return (
        f"INSERT INTO {table.live.sql} ({columns}) OVERRIDING SYSTEM VALUE"
        f" SELECT {columns} FROM {table.gone} WHERE NOT {OVER} AND {condition}"
    )


def proof(tables: Sequence[StagedTable]) -> str:
    """Return the query for the number of picked rows of each table that are not live with exactly this content."""
    return total([lacking(one) for one in tables])


def lacking(table: StagedTable) -> str:
    """Return the query for the number of picked rows that are not live with exactly this content.

    Without a key equal rows are counted: as many have to be live as in the backup.
    """
    if not table.has_key:
        picked_rows = f"SELECT {table.content('g')} FROM {table.gone} g WHERE g.{PICKED}"
        saved = table.numbers(f"(SELECT t.* FROM {table.then} t WHERE {table.content('t')} IN ({picked_rows}))")
        left = table.numbers(f"(SELECT g.* FROM {table.gone} g WHERE NOT g.{PICKED})")
        live = table.numbers(f"ONLY {table.live.sql}")
        return (
            f"SELECT {literal(table.live.name)} AS name, coalesce(sum(lacks), 0)::bigint AS rows FROM (SELECT s.number"
            f" - coalesce(u.number, 0) - coalesce(l.number, 0) AS lacks FROM ({saved}) s LEFT JOIN ({left}) u"
            f" USING (content) LEFT JOIN ({live}) l USING (content)) c WHERE lacks > 0"
        )
    inserted = f"NOT g.{OVER} AND {table.written_content('l')} = {table.written_content('g')}"
    overwritten = f"g.{OVER} AND {table.content('l')} = {table.content('g')}"
    return (
        f"SELECT {literal(table.live.name)} AS name, count(*) AS rows FROM {table.gone} g WHERE g.{PICKED} AND NOT"
        f" EXISTS (SELECT FROM ONLY {table.live.sql} l WHERE {table.same('l', 'g')}"
        f" AND ({f'{inserted} OR {overwritten}' if table.overwrites else inserted}))"
    )


def total(counts: Sequence[str]) -> str:
    """Return the query for those of some named counts that are not 0."""
    if not counts:
        return "SELECT '{}'::json"
    return f"SELECT coalesce(json_object_agg(name, rows), '{{}}') FROM ({' UNION ALL '.join(counts)}) c WHERE rows > 0"


@phase("trial")
def try_insertion(rows: StagedRows, tables: Sequence[StagedTable], relations: Sequence[RowRelation]) -> TriedInsertion:
    """Insert and prove the picked rows, take it back, and return the rows that the live database does not take."""
    if not tables:
        return TriedInsertion()
    free, alone = exchanges(rows, tables), exchanges(rows, tables, coming=True)
    apart = " ".join(_one_by_one(one) for one in tables)
    return run_trial(rows.session, [*free, *statements(tables, relations)], proof(tables), after(alone, apart))


def run_trial(session: Session, changes: Sequence[str], proven: str, apart: str = "") -> TriedInsertion:
    """Carry out the statements `changes` and the query `proven`, and take them back; return the refused rows.

    `apart` is PL/pgSQL that tries the rows one by one after the server has refused them all together.
    """
    together = _executed(changes)
    tag = f"$trial_{secrets.token_hex(8)}$"
    session.run(
        f"BEGIN; CREATE TEMP TABLE korrigo_backup_trial (result json) ON COMMIT PRESERVE ROWS; DO {tag} {_DECLARE}\n"
        f"BEGIN SET CONSTRAINTS ALL IMMEDIATE; BEGIN {together} EXECUTE {literal(proven)} INTO changed;"
        f" RAISE EXCEPTION SQLSTATE '{_TAKEN_BACK}'; EXCEPTION WHEN SQLSTATE '{_TAKEN_BACK}' THEN NULL;"
        f" WHEN OTHERS THEN {_DIAGNOSTICS} failed := {_FOUND.format(table=_WHOSE, row=0)}; END;\n"
        f"IF failed IS NOT NULL THEN {apart} IF found = '[]' THEN found := found || failed; END IF; END IF;\n"
        "INSERT INTO pg_temp.korrigo_backup_trial"
        " VALUES (json_build_object('conflicts', found, 'changed', coalesce(changed, '{}')));"
        f" END {tag}"
    )
    result = session.ask("SELECT result FROM pg_temp.korrigo_backup_trial", TriedInsertion)
    session.run("DROP TABLE pg_temp.korrigo_backup_trial; COMMIT")
    named = [replace(one, table=normal_name(one.table)) for one in result.conflicts]
    return replace(result, conflicts=tuple(named))


def after(first: Sequence[str], apart: str) -> str:
    """Return PL/pgSQL that carries out the statements `first`, then `apart`, and takes the former back."""
    if not first:
        return apart
    taken_back = f"SQLSTATE '{_TAKEN_BACK}'"
    ended = f"RAISE EXCEPTION {taken_back}; EXCEPTION WHEN {taken_back} THEN NULL; END;"
    return f"BEGIN {_executed(first)} {apart} {ended}"


def _executed(statements: Sequence[str]) -> str:
    return " ".join(f"EXECUTE {literal(one)}; {FROM_SITE_PATH};" for one in statements)


_DECLARE = (
    "DECLARE found jsonb := '[]'; failed jsonb; changed json; one record; code text; words text; more text;"
    " named text; place text; whose text; home text;"
)

_WHOSE = "CASE WHEN whose <> '' THEN quote_ident(home) || '.' || quote_ident(whose) ELSE '' END"
"""The table of an error, "" if the error is of none."""

_DIAGNOSTICS = (
    "GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, words = MESSAGE_TEXT, more = PG_EXCEPTION_DETAIL,"
    " named = CONSTRAINT_NAME, place = COLUMN_NAME, whose = TABLE_NAME, home = SCHEMA_NAME;"
    f" IF left(code, 2)::text IN ({', '.join(map(literal, _TROUBLE))}) THEN RAISE; END IF;"
)

_FOUND = (
    "jsonb_build_object('table', {table}, 'row', {row}, 'code', code, 'constraint', named, 'column', place,"
    " 'message', words, 'detail', more)"
)


def _one_by_one(table: StagedTable) -> str:
    """Return the loop that tries each row of a table alone; a row that misses a parent is none of its conflicts."""
    changes = {f"NOT {OVER}": inserting(table, f"{ROW} = $1")}
    if table.overwrites:
        changes[OVER] = overwriting(table, f"{ROW} = $1")
    return " ".join(
        try_apart(table.live.name, f"{table.gone} WHERE {PICKED} AND {which}", change, " OR foreign_key_violation")
        for which, change in changes.items()
    )


def try_apart(name: str, rows: str, change: str, passed: str = "") -> str:
    """Return the loop that tries a change for each of some rows alone, by its number `$1`.

    `rows` are a table and the condition on it, `passed` further conditions of PL/pgSQL that are no conflict.
    """
    row = _FOUND.format(table=literal(name), row="one.number")
    return (
        f"FOR one IN SELECT {ROW} AS number FROM {rows} ORDER BY 1 LOOP"
        f" BEGIN EXECUTE {literal(in_steps([('alone', change)]))} USING one.number;"
        f" RAISE EXCEPTION SQLSTATE '{_TAKEN_BACK}';"
        f" EXCEPTION WHEN SQLSTATE '{_TAKEN_BACK}'{passed} THEN NULL;"
        f" WHEN OTHERS THEN {_DIAGNOSTICS} found := found || {row}; END;"
        f" EXIT WHEN jsonb_array_length(found) >= {_MOST}; END LOOP;"
    )


def raise_sequences(tables: Iterable[StagedTable]) -> str:
    """Return statements that raise the sequences of the tables' columns above the inserted values."""
    return " ".join(
        "DO $raise$ DECLARE s text; named text;"
        f" BEGIN FOREACH named IN ARRAY ARRAY[{', '.join(map(literal, one.columns))}]::text[] LOOP"
        f" s := pg_get_serial_sequence({literal(one.live.sql)}, named); IF s IS NOT NULL THEN EXECUTE"
        " format('SELECT setval(%L, m) FROM (SELECT max(%I) AS m FROM %s WHERE %s) x, %s s"
        " WHERE m > s.last_value OR (m = s.last_value AND NOT s.is_called)', s, named,"
        f" {literal(one.gone)}, {literal(PICKED)}, s); END IF;"
        " END LOOP; END $raise$;"
        for one in tables
    )
