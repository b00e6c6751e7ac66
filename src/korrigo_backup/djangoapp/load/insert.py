"""Rows into tables, in batches, raw: no save(), no signal, no auto_now; an error names its row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import DataError, IntegrityError, connections, transaction

from korrigo_backup.errors import ProofFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from korrigo_backup.djangoapp.fixture.tables import ModelTable, Row

BATCH_ROWS = 1000
BATCH_BYTES = 4 * 1024 * 1024
"""A batch ends at either; its SQL text is a small multiple of this in memory."""

_TAKEN = frozenset({"23505", "23P01"})
"""SQLSTATE: a unique index or an exclusion constraint has such a row already."""

_EQUAL = (
    "two rows are equal for that index, as after a change of the sorting rules (collation): remove either of them in"
    " the site and make the backup again; or restore by method 1, which can go on without it (korrigo-backup restore)"
)
_OTHER_TABLES = "the backup does not fit this database: compare the migrations (manage.py showmigrations)"

_PARAMETERS = 30_000
"""Values of a statement; the protocol of PostgreSQL counts them in 16 bits."""


class Inserter:
    """Collects rows of a table and inserts them in batches; `finish` inserts the rest.

    `gave_way` is called with each refusal of the database: True means that its cause is gone.
    """

    def __init__(self, table: ModelTable, alias: str, gave_way: Callable[[BaseException], bool]) -> None:
        self._gave_way = gave_way
        self._table = table
        self._alias = alias
        self._connection = connections[alias]
        self._steps = [(place, column.into) for place, column in enumerate(table.columns) if column.into]
        self._limit = max(1, min(BATCH_ROWS, _PARAMETERS // len(table.columns)))
        self._rows: list[list[Any]] = []
        self._size = 0
        self._head, self._copy = self._make_heads()
        self._fixed = None if any(c.placeholder for c in table.columns) else self._slots([None] * len(table.columns))
        self.count = 0

    def add(self, row: Row, size: int) -> None:
        """Take a row whose text was `size` bytes long."""
        values = list(row)
        for place, into in self._steps:
            if (value := values[place]) is not None:
                values[place] = into(value)
        self._rows.append(values)
        self._size += size
        if len(self._rows) >= self._limit or self._size > BATCH_BYTES:
            self.finish()

    def finish(self) -> None:
        """Insert the collected rows. Raises ProofFailed if the database does not take a row."""
        rows, self._rows, self._size = self._rows, [], 0
        if not rows:
            return
        while problem := self._refused(rows):
            if not self._gave_way(problem):
                raise self._refusal(rows, problem) from None
        self.count += len(rows)

    def _refused(self, rows: Sequence[list[Any]]) -> Exception | None:
        """Insert the rows; return the error of a database that does not take them."""
        try:
            with transaction.atomic(using=self._alias):
                self._insert(rows)
        except (IntegrityError, DataError, ValueError) as problem:  # ValueError: psycopg 2 on a NUL in a text
            return problem
        return None

    def _insert(self, rows: Sequence[list[Any]]) -> None:
        # not connection.cursor(): with DEBUG on, that cursor keeps the text of every statement in memory
        with self._connection.make_cursor(self._connection.create_cursor()) as cursor:
            if self._connection.vendor == "sqlite" and self._fixed:
                cursor.executemany(self._head + self._fixed, rows)
            elif self._fixed and hasattr(cursor, "copy"):  # psycopg 3
                with self._connection.wrap_database_errors, cursor.copy(self._copy) as copy:
                    for row in rows:
                        copy.write_row(row)
            else:
                slots = ", ".join(self._fixed or self._slots(row) for row in rows)
                cursor.execute(self._head + slots, [value for row in rows for value in row])

    def _refusal(self, rows: Sequence[list[Any]], whole: Exception) -> ProofFailed:
        for row in rows:
            if problem := self._refused([row]):
                return self._named(row, problem)
        return self._named(rows[0], whole)

    def _named(self, row: list[Any], problem: Exception) -> ProofFailed:
        label, key = self._table.label, row[self._table.columns.index(self._table.pk)] if self._table.pk else row[0]
        code = getattr(getattr(problem.__cause__, "diag", None), "sqlstate", None)
        return ProofFailed(
            f"the database does not take {label} pk={str(key)[:80]}: {first_line(problem)}",
            hint=_EQUAL if code in _TAKEN else _OTHER_TABLES,
            state="the restore was rolled back: the site is as before",
            id_="rows.duplicate" if code in _TAKEN else "rows.refused",
        )

    def _make_heads(self) -> tuple[str, str]:
        quote = self._connection.ops.quote_name
        columns = ", ".join(quote(column.column) for column in self._table.columns)
        identity = "OVERRIDING SYSTEM VALUE " if self._connection.vendor == "postgresql" else ""
        target = f"{quote(self._table.name)} ({columns})"
        return f"INSERT INTO {target} {identity}VALUES ", f"COPY {target} FROM STDIN"

    def _slots(self, row: Sequence[Any]) -> str:
        pairs = zip(self._table.columns, row, strict=True)
        slots = (column.placeholder(value) if column.placeholder else "%s" for column, value in pairs)
        return f"({', '.join(slots)})"


def first_line(problem: BaseException) -> str:
    """Return the first line of a database's message, with its detail if there is any."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    detail = next((line for line in lines[1:] if line.startswith("DETAIL:")), "")
    return f"{lines[0]} {detail}".strip()[:400] if lines else type(problem).__name__
