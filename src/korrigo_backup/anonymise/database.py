"""Replace the values of the ruled columns of a copy, in one session and one transaction of it.

The original values stay in temporary tables of that session, where the check looks for them; they never leave the
server but for the values that faker replaces, which pass through this process some thousand at a time.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.anonymise.columns import CATALOG, Assigned, CopyTable, Ruled, assign
from korrigo_backup.anonymise.originals import gather_originals
from korrigo_backup.anonymise.rules import Act, FileAct
from korrigo_backup.anonymise.values import Fakes, ValueLimits, open_fakes
from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.errors import Refused
from korrigo_backup.postgres.server_error import StatementFailed
from korrigo_backup.postgres.session_settings import options
from korrigo_backup.postgres.site_path import FROM_SITE_PATH, TO_SITE_PATH, site_path, use_own_path
from korrigo_backup.postgres.sql import identifier, literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from korrigo_backup.anonymise.rules import ColumnRule, Rules
    from korrigo_backup.postgres.client import Postgres, Session

_BATCH = 5000
_ATTEMPTS = 12
SETTINGS = options({"client_encoding": "UTF8"})
"""The search path is the copy's own until `use_own_path`: its generated columns and constraints may need it."""

KEY_OF_RUN = "(SELECT key FROM pg_temp.secret)"
"""SQL: the key of this run. It is read from a table, so that no log of the server holds it."""


@dataclass(frozen=True)
class Replaced:
    """The numbers of an anonymised database."""

    tables: int
    columns: int
    emptied: tuple[str, ...]
    kept: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


@dataclass
class Copy:
    """A copy in a session; `assigned` are the rules on its tables."""

    session: Session
    assigned: Assigned
    rules: Rules

    def replace(self) -> Replaced:
        """Empty and replace; the caller commits. Raises Refused where the server does not take a value."""
        gather_originals(self.session, self.assigned)
        fakes = open_fakes(self.rules.providers, self.rules.locale) if self.rules.providers else None
        maps = self._maps(fakes) if fakes else {}
        findings = self._without_triggers()
        emptied = self.assigned.emptied
        if emptied:
            self._run(f"TRUNCATE {', '.join(one.sql for one in emptied)}", "these tables cannot be emptied")
            self._forget_statistics()
        hashed = [one.column.length for one in self.assigned.ruled if one.rule.act is Act.HASH and one.column.length]
        digits = min([64, *hashed])  # equal values stay equal in columns of another length
        for table, columns in self.assigned.by_table.items():
            sets = ", ".join(f"{one.sql} = {_value(one, maps, digits)}" for one in columns)
            update = f"UPDATE {table} t SET {sets} WHERE (SELECT {TO_SITE_PATH}); {FROM_SITE_PATH}"
            self._run(update, f"table {columns[0].table.name} does not take the new values")
        for statement in self._enable:
            self.session.run(statement)
        for one in self._views():
            with site_path(self.session):
                self._run(f"REFRESH MATERIALIZED VIEW {one.sql}", f"{one.name} cannot be computed anew")
        columns_ = sum(map(len, self.assigned.by_table.values()))
        names = tuple(one.name for one in emptied)
        return Replaced(len(self.assigned.by_table), columns_, names, self.assigned.kept, tuple(findings))

    def rewrite(self) -> None:
        """Write the changed tables anew: no dead row and no statistics keep an old value. Outside a transaction."""
        for name in (*self.assigned.by_table, *(one.sql for one in self._views())):
            with site_path(self.session):
                self._run(f"VACUUM (FULL, ANALYZE) {name}", f"{name} cannot be written anew")

    def _forget_statistics(self) -> None:
        """Take the statistics of the emptied tables away, which hold old values and outlive an ANALYZE of no rows.

        PostgreSQL removes those of a column whose type is set, also to the type that it has. The key of a partitioned
        table keeps its type; the bounds of the partitions show its values anyway.
        """
        names = ", ".join(f"{literal(one.sql)}::regclass" for one in self.assigned.emptied)
        for table, column, kind in self.session.ask(_ANALYSED.format(tables=names), list[tuple[str, str, str]]):
            with site_path(self.session):
                self._run(
                    f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {kind}",
                    f"the statistics of {table}.{column} hold old values and cannot be removed",
                )

    def _views(self) -> list[CopyTable]:
        return [one for one in self.assigned.tables if one.kind == "m" and one.populated]

    def _run(self, sql: str, words: str) -> None:
        try:
            self.session.run(sql)
        except StatementFailed as problem:
            hint = "change the rule, or the list `empty`, in the file of rules"
            raise Refused(f"{words}: {problem.message}", hint=hint, detail=problem.detail) from None

    def _maps(self, fakes: Fakes) -> dict[ColumnRule, str]:
        """Make a temporary table of old and new values for each rule of faker, and return their names."""
        groups: dict[ColumnRule, list[Ruled]] = {}
        for one in self.assigned.ruled:
            if one.rule.act is Act.FAKER:
                groups.setdefault(one.rule, []).append(one)
        made = {}
        for number, (rule, columns) in enumerate(groups.items()):
            name = f"pg_temp.map_{number}"
            self.session.run(f"CREATE TEMP TABLE map_{number} (old text, new text)")
            self._fill(name, rule, columns, fakes)
            self.session.run(f"CREATE INDEX ON {name} USING hash (old); ANALYZE {name}")
            made[rule] = name
        return made

    def _fill(self, name: str, rule: ColumnRule, columns: list[Ruled], fakes: Fakes) -> None:
        lengths = [one.column.length for one in columns if one.column.length]
        limits = ValueLimits(any(one.column.unique for one in columns), min(lengths, default=None))
        values = " UNION ALL ".join(f"SELECT t.{one.sql}::text AS v FROM {one.table.sql} t" for one in columns)
        self.session.run(
            "DECLARE originals NO SCROLL CURSOR FOR SELECT to_json(v)"
            f" FROM (SELECT DISTINCT v FROM ({values}) a) u WHERE v <> ''"
        )
        while old := self._strings(f"FETCH {_BATCH} FROM originals"):
            self._load(name, ((one, fakes.value(rule.argument, one, limits)) for one in old))
        self.session.run("CLOSE originals")
        for attempt in range(1, _ATTEMPTS):
            again = self._taken(name)
            if not again:
                return
            while again:
                drawn = [(one, fakes.value(rule.argument, one, limits, attempt=attempt)) for one in again]
                self._load("pg_temp.drawn", drawn)
                again = self._taken(name)
            self.session.run(f"INSERT INTO {name} SELECT * FROM pg_temp.drawn; DROP TABLE pg_temp.drawn")
        raise Refused(
            f"faker:{rule.argument} gives too few values that are no original of another row",
            hint="use another provider, or hash",
        )

    def _taken(self, name: str) -> list[str]:
        """Take the rows whose new value is an original, or is given twice where it must be unique."""
        self.session.run("CREATE TEMP TABLE IF NOT EXISTS drawn (old text, new text)")
        return self._strings(
            f"DELETE FROM {name} WHERE ctid IN (SELECT m.ctid FROM {name} m JOIN pg_temp.original o"
            f" ON o.value = lower(btrim(m.new)) LIMIT {_BATCH}) RETURNING to_json(old)"
        )

    def _strings(self, sql: str) -> list[str]:
        return [msgspec.json.decode(line, type=str) for line in self.session.run(sql).splitlines()]

    def _load(self, name: str, rows: Iterable[tuple[str, str]]) -> None:
        def lines() -> Iterator[bytes]:
            yield f"COPY {name} FROM STDIN;\n".encode()
            for old, new in rows:
                yield f"{copied(old)}\t{copied(new)}\n".encode()
            yield b"\\.\n"

        self.session.feed(lines())

    def _without_triggers(self) -> list[Finding]:
        """Disable the triggers of the tables that change; a warning where the role may not.

        They could write the old values to other tables.
        """
        self._enable: list[str] = []
        names = (*self.assigned.by_table, *(one.sql for one in self.assigned.emptied))
        wanted = ", ".join(f"{literal(name)}::regclass" for name in names)
        if not wanted:
            return []
        triggers = self.session.ask(_TRIGGERS.format(tables=wanted), list[tuple[str, str, str, bool]])
        stay = sorted({table for table, _, _, may in triggers if not may})
        for table, trigger, state, may in triggers:
            if may:
                alter = f"ALTER TABLE {table}"
                self.session.run(f"{alter} DISABLE TRIGGER {identifier(trigger)}")
                self._enable.append(f"{alter} ENABLE {_STATES[state]}TRIGGER {identifier(trigger)}")
        if not stay:
            return []
        words = f"the triggers of {', '.join(stay)} stay on, because the site's role does not own them"
        return [warning("anonymise.triggers", words, "the check looks for old values that they have copied")]


_STATES = {"O": "", "A": "ALWAYS ", "R": "REPLICA "}

_TRIGGERS = """
SELECT coalesce(json_agg(json_build_array(c.oid::regclass::text, g.tgname, g.tgenabled,
                                          pg_has_role(c.relowner, 'USAGE'))), '[]')
FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
WHERE NOT g.tgisinternal AND g.tgenabled <> 'D'
  AND c.oid IN (SELECT r FROM unnest(ARRAY[{tables}]) r UNION SELECT p.relid FROM unnest(ARRAY[{tables}]) r,
                                                                     pg_partition_tree(r) p)
"""


_ANALYSED = """
SELECT coalesce(json_agg(DISTINCT jsonb_build_array(r.root::text, quote_ident(a.attname),
    format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attcollation NOT IN (0, t.typcollation)
    THEN format(' COLLATE %I.%I', cn.nspname, co.collname) ELSE '' END)), '[]')
FROM unnest(ARRAY[{tables}]) r(root)
CROSS JOIN LATERAL (SELECT r.root AS relid UNION SELECT p.relid FROM pg_partition_tree(r.root) p) p
JOIN pg_class c ON c.oid = p.relid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname
JOIN pg_attribute a ON a.attrelid = r.root AND a.attname = s.attname JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_collation co ON co.oid = a.attcollation LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace
WHERE NOT EXISTS (SELECT FROM pg_partitioned_table k WHERE k.partrelid = r.root AND a.attnum = ANY (k.partattrs))
"""


def copied(text: str) -> str:
    """Return a value as COPY reads it."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def renamed(value: str) -> str:
    """Return the expression of a new name of a file, with the suffix of the old name."""
    return (
        f"('anonymised/' || left(encode(sha256(convert_to({KEY_OF_RUN} || {value}, 'UTF8')), 'hex'), 32)"
        f" || coalesce(lower(substring({value} from '\\.[A-Za-z0-9]{{1,8}}$')), ''))"
    )


def _value(one: Ruled, maps: dict[ColumnRule, str], digits: int) -> str:
    """Return the expression of the new value of a column of `t`."""
    old, kind = f"t.{one.sql}", one.column.type
    text = f"{old}::text"
    match one.rule.act:
        case Act.NULL:
            return "NULL"
        case Act.EMPTY if one.column.is_json:
            return f"(CASE jsonb_typeof({old}::jsonb) WHEN 'array' THEN '[]' ELSE '{{}}' END)::{kind}"
        case Act.EMPTY:
            new = "'{}'" if one.column.category == "A" else "''"
        case Act.CONSTANT:
            new = literal(one.rule.argument)
        case Act.HASH:
            new = f"left(encode(sha256(convert_to({KEY_OF_RUN} || {text}, 'UTF8')), 'hex'), {digits})"
        case Act.FILES if one.rule.argument == FileAct.REMOVE:
            return "''" if one.column.required else "NULL"
        case Act.FILES:
            new = renamed(text)
        case _:
            new = f"(SELECT m.new FROM {maps[one.rule]} m WHERE m.old = {text})"
    return f"CASE WHEN {old} IS NULL OR {text} = '' THEN {old} ELSE ({new})::{kind} END"


@contextmanager
def opened_copy(server: Postgres, database: str, rules: Rules) -> Iterator[Copy]:
    """Yield the copy in a transaction of its own session; the block commits or the session ends without effect.

    Raises as `assign`.
    """
    with server.session(database=database, options=SETTINGS) as session:
        use_own_path(session)
        tables = session.ask(CATALOG, tuple[CopyTable, ...])
        assigned = assign(rules, tables)
        session.run("BEGIN; CREATE TEMP TABLE secret (key text)")
        session.feed([b"COPY pg_temp.secret FROM STDIN;\n", secrets.token_hex(32).encode(), b"\n\\.\n"])
        yield Copy(session, assigned, rules)
