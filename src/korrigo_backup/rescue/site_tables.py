"""The tables of a site, live and saved, and the rows that a person names in them.

A table that is not live any more is found in the newest dump; so everything here works without the database, too.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.site_description import Description
from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.errors import KorrigoBackupError, Unreachable, UsageError
from korrigo_backup.postgres.digest import snapshot
from korrigo_backup.postgres.server_error import StatementFailed
from korrigo_backup.postgres.session_settings import PROVING
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.postgres.tables import read_partitions, read_row_tables, unreadable_tables
from korrigo_backup.rescue.objects import find_table, parse_object, written_object
from korrigo_backup.rescue.saved.rows import cell_of, open_saved_rows
from korrigo_backup.site.manage import DESCRIBE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.core.site_description import TableName
    from korrigo_backup.postgres.digest import Snapshot
    from korrigo_backup.postgres.tables import TableLayout
    from korrigo_backup.rescue.objects import NamedTable
    from korrigo_backup.site.site import Site


@dataclass(frozen=True)
class LiveDatabase:
    """A snapshot of the live database, or why there is none."""

    taken: Snapshot | None
    away: str = ""


@contextmanager
def live_database(site: Site) -> Iterator[LiveDatabase]:
    """Yield the live database in one snapshot; a database that cannot be reached is no error, and named."""
    with ExitStack() as stack:
        try:
            live = LiveDatabase(stack.enter_context(snapshot(site.postgres)))
        except Unreachable as problem:
            live = LiveDatabase(None, problem.message)
        yield live


def _unfit(problem: KorrigoBackupError) -> str:
    """Return why the server does not take a value of a key, in our words where it has a usual reason."""
    match problem.server.sqlstate if isinstance(problem, StatementFailed) else "":
        case "22003":
            return "a number is too large for its type"
        case "22001":
            return "a text is too long for its type"
        case "22P02" | "22007" | "22008":
            return "a value is not written as its type demands"
    return problem.message


@dataclass(frozen=True)
class NamedRow:
    """A row that a person has named: its table, and the cells of its key as COPY writes them in UTF-8."""

    table: NamedTable
    key: dict[str, bytes]
    values: tuple[str, ...]

    @property
    def name(self) -> str:
        """The row as a person writes it."""
        return written_object(self.table.label or self.table.table, self.values)


class SiteTables:
    """The tables of a site.

    `dumps` are its saved dumps, oldest first. `taken` is a snapshot of the live database, None if it does not answer.
    """

    def __init__(self, site: Site, dumps: Sequence[Artifact], taken: Snapshot | None) -> None:
        self._site = site
        self._dumps = dumps
        self._taken = taken
        self.not_asked = ""

    @cached_property
    def live(self) -> dict[str, TableLayout]:
        """The live tables by the names that a dump gives them; none without the database."""
        if self._taken is None:
            return {}
        return read_row_tables(self._taken)

    @cached_property
    def unreadable(self) -> dict[str, str]:
        """The live tables whose rows our role may not read, each with the reason; none without the database."""
        return unreadable_tables(self._taken) if self._taken else {}

    @cached_property
    def partitioned(self) -> dict[str, tuple[str, ...]]:
        """The live tables that have partitions, with those that hold their rows; none without the database."""
        if self._taken is None:
            return {}
        return read_partitions(self._taken)

    @cached_property
    def saved(self) -> frozenset[str]:
        """The tables of the newest dump that has a manifest."""
        for dump in reversed(self._dumps):
            if dump.manifest and dump.manifest.database:
                return frozenset(normal_name(table.name) for table in dump.manifest.database.tables)
        return frozenset()

    def find(self, model: str) -> NamedTable:
        """Return the table of a model or table name; raises as `find_table`."""
        tables = self.live.keys() | self.partitioned.keys() | self.saved
        visible = self._taken.search_path if self._taken else ()
        labels = (
            {}
            if normal_name(model.strip()) in {*tables, *(name.rpartition(".")[2] for name in tables)}
            else self._labels
        )
        found = find_table(model, labels, tables, visible)
        if found.table in self.partitioned:
            parts = self.partitioned[found.table]
            raise UsageError(
                f"the table {found.table} is partitioned: its rows are in {first_of(parts)}",
                hint=f"name the partition of the row as the table: {parts[0] if parts else 'PARTITION'}",
            )
        return replace(found, note=f"{found.note} ({self.not_asked})") if found.note and self.not_asked else found

    def key(self, table: NamedTable) -> tuple[tuple[str, str], ...]:
        """Return columns and types of a table's key.

        Of a table that is not live it is the primary key in a dump, without types. Raises UsageError for a table
        without a key: its rows have no names.
        """
        live = self.live.get(table.table)
        if live is None and (layout := self._saved_layout(table)) and layout[1]:
            return tuple((column, "") for column in layout[1])
        if live is None:
            compared = f"korrigo-backup compare latest -T {quote(table.table)} shows its rows"
            raise UsageError(
                f"the table {table.table} has no primary key in the newest backup: its rows cannot be named",
                hint=compared
                if self._taken
                else "once the database answers, a unique key without NULL names them, too",
            )
        if not live.key:
            raise UsageError(
                f"the table {table.table} has no key: its rows cannot be named",
                hint=f"korrigo-backup compare latest -T {quote(table.table)} shows which rows differ",
            )
        return tuple((column, live.types[column]) for column in live.key)

    def columns(self, table: NamedTable) -> tuple[str, ...]:
        """Return the columns of a table; of a table that is not live from the newest dump that has it."""
        if live := self.live.get(table.table):
            return live.columns
        layout = self._saved_layout(table)
        return layout[0] if layout else ()

    def _saved_layout(self, table: NamedTable) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """Return columns and key of a table in the newest dump that has it, None without one."""
        for dump in reversed(self._dumps):
            manifest = dump.manifest
            saved = manifest.database.tables if manifest and manifest.database else ()
            if manifest is None or any(normal_name(one.name) == table.table for one in saved):
                with open_saved_rows(dump, self._site.postgres.access) as rows:
                    return rows.layouts().get(table.table)
        return None

    def row(self, text: str) -> NamedRow:
        """Return the row of `MODEL:KEY`; raises as `parse_object` and `find`, UsageError for a wrong key."""
        typed = parse_object(text)
        table = self.find(typed.model)
        key = self.key(table)
        if len(typed.values) != len(key):
            names = ", ".join(name for name, _ in key)
            raise UsageError(
                f"the key of {table.table} has {len(key)} values ({names}), {text!r} has {len(typed.values)}",
                hint=f"write it as {written_object(typed.model, [f'<{name}>' for name, _ in key])}",
            )
        return NamedRow(table, self._cells(table, key, typed.values), typed.values)

    def _cells(self, table: NamedTable, key: tuple[tuple[str, str], ...], values: tuple[str, ...]) -> dict[str, bytes]:
        """Return the values as COPY writes them: the server reads them as the types of their columns.

        A cast would shorten a text that is too long for its column, to the key of another row; a record refuses it.
        """
        names = [name for name, _ in key]
        if self._taken is None or not all(kind for _, kind in key):
            return {name: cell_of(value) for name, value in zip(names, values, strict=True)}
        wanted = ", ".join(
            f"{literal(value)}::{kind}" if kind.endswith("[]") else f"r.{identifier(name)}"
            for value, (name, kind) in zip(values, key, strict=True)
        )
        given = ", ".join(f"{literal(name)}, {literal(value)}" for name, value in zip(names, values, strict=True))
        row = ", ".join(f"{identifier(name)} {kind}" for name, kind in key)
        query = f"SELECT {wanted} FROM jsonb_to_record(jsonb_build_object({given})) r ({row})"
        try:
            line = self._site.postgres.script(f"{PROVING} COPY ({query}) TO STDOUT (ENCODING 'UTF8')")
        except Unreachable:
            raise
        except KorrigoBackupError as problem:
            kinds = ", ".join(f"{name} is {kind}" for name, kind in key)
            raise UsageError(
                f"the key does not fit {table.table}: {_unfit(problem)}", hint=f"its key: {kinds}"
            ) from None
        return dict(zip(names, line.removesuffix(b"\n").split(b"\t"), strict=True))

    @property
    def _labels(self) -> dict[str, TableName] | None:
        """The table of each model by its label, None if Django cannot be asked."""
        return self.description.tables if self.description else None

    @cached_property
    def description(self) -> Description | None:
        """The site as its Django describes it, None if it cannot be asked; `not_asked` then says why."""
        if self._site.django is None:
            self.not_asked = "there is no way to run manage.py"
            return None
        try:
            return self._site.django.ask(DESCRIBE, Description)
        except KorrigoBackupError as problem:
            self.not_asked = problem.message
            return None
