"""The triggers of the site's tables, off while rows are erased: an audit table must not get the erased values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.postgres.sql import identifier, literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from korrigo_backup.postgres.client import Session

_TRIGGERS = """
SELECT coalesce(json_agg(json_build_array(quote_ident(n.nspname) || '.' || quote_ident(c.relname), t.tgname,
                                          t.tgenabled) ORDER BY t.oid), '[]')
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgparentid = 0
  AND c.oid = ANY (ARRAY[{tables}]::regclass[])
"""


@dataclass
class TriggersOff:
    """Triggers that are off inside a block, and afterwards as they were."""

    session: Session
    found: list[tuple[str, str, str]]

    def __enter__(self) -> None:
        """Turn them off. A table with checks that are put off until the commit cannot be altered: they come first."""
        self.session.run("SET CONSTRAINTS ALL IMMEDIATE")
        for table, name, _ in self.found:
            self.session.run(f"ALTER TABLE {table} DISABLE TRIGGER {identifier(name)}")

    def __exit__(self, kind: object, *rest: object) -> None:
        """Turn them on again; after an error the transaction is taken back, and they with it."""
        if kind is None:
            self.session.run("SET CONSTRAINTS ALL IMMEDIATE")
            for table, name, mode in self.found:
                always = "ALWAYS " if mode == "A" else ""
                self.session.run(f"ALTER TABLE {table} ENABLE {always}TRIGGER {identifier(name)}")


def triggers_off(session: Session, tables: Iterable[str]) -> TriggersOff:
    """Return the triggers of tables, named as in a statement, to be off in a block."""
    names = ", ".join(map(literal, tables))
    return TriggersOff(session, session.ask(_TRIGGERS.format(tables=names), list[tuple[str, str, str]]))
