"""The migrations of a rehearsal: applied by `watched_migrate.py` in the place, read from its output, judged."""

from __future__ import annotations

import re
from contextlib import suppress
from importlib import resources
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import listed
from korrigo_backup.core.finding import Finding, error, ok, warning
from korrigo_backup.drill.watched_migrate import MARK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LONG = 1.0
"""Seconds of a migration from which its locks are a warning: visitors notice them."""

_STOPS = {
    "ShareLock": "writes",
    "ShareRowExclusiveLock": "writes",
    "ExclusiveLock": "writes",
    "AccessExclusiveLock": "reads and writes",
}
"""The modes that stop the statements of a running site, the weakest first (PostgreSQL, table 13.2)."""

_MODES = ("AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", *_STOPS)

_PLANNED = re.compile(r"^(\w+\.\w+)$", re.MULTILINE)
_ERROR = re.compile(r"[\w.]+(?:Error|Exception)\b")


class TableLock(msgspec.Struct, frozen=True):
    """The strongest lock that a migration took on a table, by PostgreSQL's name of the mode."""

    table: str
    mode: str

    @property
    def stops(self) -> str:
        """What the lock keeps the site from: "reads and writes", "writes", or ""."""
        return _STOPS.get(self.mode, "")


class Migration(msgspec.Struct, frozen=True):
    """A migration that was begun: its seconds, None for one that failed, its locks, and the tables written anew.

    Locks and rewritten tables are those of tables that were there before it.
    """

    name: str
    seconds: float | None = None
    locks: tuple[TableLock, ...] = ()
    rewritten: tuple[str, ...] = ()

    @property
    def blocking(self) -> tuple[TableLock, ...]:
        """The locks that keep a running site from its rows."""
        return tuple(one for one in self.locks if one.stops)


def program() -> str:
    """Return the text that `manage.py shell -c` runs to migrate."""
    text = resources.files(__package__).joinpath("watched_migrate.py").read_text(encoding="utf-8")
    return f"{text}\nmain()\n"


def planned_in(output: str) -> tuple[str, ...]:
    """Return the names of the migrations in the output of `migrate --plan`."""
    return tuple(_PLANNED.findall(output))


def migrations_in(output: str) -> tuple[Migration, ...]:
    """Return the migrations in the output of the program, in their order; one that was killed has only its name.

    A line that was cut by a kill is left out.
    """
    found: dict[str, Migration] = {}
    for line in output.splitlines():
        if not line.startswith(MARK):
            continue
        with suppress(msgspec.DecodeError):
            one = msgspec.json.decode(line.removeprefix(MARK), type=Migration)
            found[one.name] = msgspec.structs.replace(one, locks=tuple(_strongest(one.locks)))
    return tuple(found.values())


def _strongest(locks: Iterable[TableLock]) -> Iterator[TableLock]:
    by_table: dict[str, str] = {}
    for lock in locks:
        by_table[lock.table] = max(lock.mode, by_table.get(lock.table, ""), key=_strength)
    for table, mode in sorted(by_table.items()):
        yield TableLock(table, mode)


def _strength(mode: str) -> int:
    return _MODES.index(mode) if mode in _MODES else -1


def judge(migrations: Sequence[Migration], unwatched: Sequence[str] = ()) -> list[Finding]:
    """Return the findings about migrations that were all applied, those in `unwatched` by the image's entry point."""
    found = [ok("rehearse.migrations", f"{counted(len(migrations) + len(unwatched), 'migration')} applied")]
    if unwatched:
        words = f"the entry point of the image has applied {listed(unwatched)}, before they could be watched"
        found.append(warning("rehearse.unwatched", words, "their time and locks are not known"))
    long = [one for one in migrations if one.blocking and (one.seconds or 0) >= LONG]
    if long:
        words = "; ".join(f"{one.name} for up to {one.seconds:.1f} s: {_locked(one.blocking)}" for one in long)
        found.append(warning("rehearse.locks", f"tables are locked: {words}", "plan a downtime of that length"))
    else:
        found.append(ok("rehearse.locks", f"no migration locks a table of the site for {LONG:g} s"))
    if rewritten := rewritten_by(migrations):
        words = f"written anew, and locked meanwhile: {counted(len(rewritten), 'table')}: {', '.join(rewritten)}"
        found.append(warning("rehearse.rewritten", words, "plan a downtime as long as these migrations"))
    return found


def _locked(locks: Iterable[TableLock]) -> str:
    return ", ".join(f"{one.table} against {one.stops}" for one in locks)


def rewritten_by(migrations: Iterable[Migration]) -> tuple[str, ...]:
    """Return the tables that the migrations wrote anew, in the order of their names."""
    return tuple(sorted({table for one in migrations for table in one.rewritten}))


def failed(command: str, stderr: str, migrations: Sequence[Migration] = ()) -> Finding:
    """Return the finding for a command of the new code that failed, with the line that names the error."""
    at = f" in {migrations[-1].name}" if migrations and migrations[-1].seconds is None else ""
    lines = [line for line in stderr.splitlines() if line.strip()]
    named = [line for line in lines if _ERROR.match(line)]
    return error(
        "rehearse.migrations",
        f"manage.py {command} of the new code fails{at}: {(named or lines or [''])[-1].strip()}",
        "mend the migration before it is deployed; the live site was not touched",
    )
