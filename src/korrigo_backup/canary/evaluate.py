"""Which differences between a new backup and the site's own history are an alarm. Decides only.

The thresholds and their reasons are in docs/decisions/0043-the-canary-knows-only-loss.md.
"""

from __future__ import annotations

from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING

from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.canary.model import HistoryComparison
from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding, Level, ok, warning
from korrigo_backup.core.size import human

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from korrigo_backup.artifact.kinds import Kind
    from korrigo_backup.canary.model import ReplacedFiles, SavedCounts

ENOUGH = 2
"""Backups before the newest that make a history: the third backup of a site is the first that can raise an alarm."""

RECENT = timedelta(days=15)
"""How long the lowest number of the last backups counts as usual: two weeks, and an hour of summer time."""

WEEKS = 4
"""Backups of the same weekday that show its rhythm."""

LOST_PART = 0.3
"""The part of the rows or files of the last calm backup that is missing in an alarm."""

BELOW_LOWEST = 0.9
"""The part of the lowest usual number below which a number is unusual."""

LEAST_ROWS = 50
"""Rows that are missing in an alarm, at least."""

LEAST_FILES = 20
"""Files that are missing or replaced in an alarm, at least."""

FEW_FILES = 5
"""Files of a tree whose complete loss is an alarm."""

EMPTIED_ROWS = 10
"""Usual rows of a table that must not become empty."""

CONSTANT_BACKUPS = 14
"""Backups with the same number of rows, after which a table of any size must not become empty."""

LEAST_BYTES = 1_000_000
"""Bytes of a media tree whose size is compared."""

HALF = 0.5
"""The part of the usual bytes below which a tree with all its files is unusual."""

OPAQUE_PART = 0.5
"""How much larger the part of files without a known type is in an alarm than before."""


def evaluate(seen: HistoryComparison) -> tuple[Finding, ...]:
    """Return the findings about the newest backup; a warning is an alarm, a line of level ok is news.

    Without enough history there are none. More rows or files are never an alarm.
    """
    if not seen.history or (len(seen.history) < ENOUGH and not seen.confirmed):
        return ()
    return (*_tables(seen), *_media(seen))


def calm(kind: Kind, states: Sequence[SavedCounts], confirmed: Container[str]) -> tuple[SavedCounts, ...]:
    """Return those of `states` that were no alarm when they were the newest; both newest first.

    An alarm without a reader, or a backup made by hand in between, must not become the usual state. A person
    has accepted the backups named in `confirmed`: they are calm, and with them alone a history begins.
    """
    found: list[SavedCounts] = []
    for state in reversed(states):
        before = HistoryComparison(
            kind=kind, newest=state, history=tuple(found), confirmed=any(one.name in confirmed for one in found)
        )
        if state.name in confirmed or not is_alarm(evaluate(before)):
            found.insert(0, state)
    return tuple(found)


def is_alarm(findings: Iterable[Finding]) -> bool:
    """Return whether a finding needs a person."""
    return any(finding.level is not Level.OK for finding in findings)


def usual(values: Sequence[tuple[SavedCounts, int]], newest: SavedCounts) -> float:
    """Return the median of the same weekday if there are enough weeks, else of all values."""
    same = _same_weekday(values, newest)
    return median(same if len(same) >= WEEKS else [value for _, value in values])


def lowest(values: Sequence[tuple[SavedCounts, int]], newest: SavedCounts) -> int:
    """Return the lowest value of the last two weeks, and of the same weekday if there are enough weeks.

    `values` are newest first; the first one always counts.
    """
    recent = [value for state, value in values if newest.created - state.created <= RECENT]
    same = _same_weekday(values, newest)
    counted: list[int] = [values[0][1], *recent, *(same if len(same) >= WEEKS else ())]
    return min(counted)


def is_replaced(files: int, lost: int) -> bool:
    """Return whether so many of the `files` of a tree have lost their content that their types must be looked at."""
    return lost >= max(LEAST_FILES, LOST_PART * files)


def _same_weekday(values: Iterable[tuple[SavedCounts, int]], newest: SavedCounts) -> list[int]:
    return [value for state, value in values if state.clock.weekday() == newest.clock.weekday()]


def _tables(seen: HistoryComparison) -> Iterator[Finding]:
    newest, last, word = seen.newest, seen.history[0], KINDS[seen.kind].row_word
    emptied, fewer = list[str](), list[str]()
    for table, rows in sorted(newest.rows.items()):
        values = [(state, state.rows[table]) for state in seen.history if table in state.rows]
        if not values or table not in last.rows:
            continue
        if rows == 0:
            if _must_not_be_empty([value for _, value in values]):
                emptied.append(f"{table} ({usual(values, newest):,.0f})")
        elif _is_fewer(rows, values, newest, LEAST_ROWS):
            fewer.append(f"{table} ({rows:,}, usual are {usual(values, newest):,.0f})")
    if emptied:
        yield warning("canary.emptied", f"{newest.name}: {counted(len(emptied), 'table')} without {word} that always"
                      f" had {word} before: {first_of(emptied)}")  # fmt: skip
    if fewer:
        yield warning("canary.rows", f"{newest.name}: {counted(len(fewer), 'table')} with far fewer {word} than in"
                      f" any of the last backups: {first_of(fewer)}")  # fmt: skip
    yield from _missing_tables(newest, last)


def _must_not_be_empty(values: Sequence[int]) -> bool:
    if min(values) == 0:
        return False
    constant = len(values) >= CONSTANT_BACKUPS and len(set(values)) == 1
    return median(values) >= EMPTIED_ROWS or constant


def _is_fewer(now: int, values: Sequence[tuple[SavedCounts, int]], newest: SavedCounts, least: int) -> bool:
    missing = values[0][1] - now
    return missing >= max(least, LOST_PART * values[0][1]) and now < BELOW_LOWEST * lowest(values, newest)


def _missing_tables(newest: SavedCounts, last: SavedCounts) -> Iterator[Finding]:
    """Tables that the last calm backup had: renamed, dropped by a migration, or dropped by something else."""
    gone = sorted(set(last.rows) - set(newest.rows))
    if not gone:
        return
    fresh = {newest.digests.get(table) or newest.rows[table] for table in set(newest.rows) - set(last.rows)}
    renamed = [table for table in gone if (last.digests.get(table) or last.rows[table]) in fresh]
    dropped = [table for table in gone if table not in renamed]
    migrated = newest.migrations != last.migrations or not newest.migrations
    held = [f"{table} ({last.rows[table]:,})" for table in dropped if last.rows[table] >= EMPTIED_ROWS]
    if held and not migrated:
        yield warning("canary.dropped", f"{newest.name}: {counted(len(held), 'table')} dropped, and no migration was"
                      f" applied: {first_of(held)}")  # fmt: skip
    elif dropped or renamed:
        names = first_of([*dropped, *renamed])
        yield ok("canary.schema", f"{newest.name}: the schema has changed, and lacks {names}")


def _media(seen: HistoryComparison) -> Iterator[Finding]:
    newest = seen.newest
    if newest.files is None or newest.bytes is None:
        return
    if few := _few_files(newest, seen.history):
        yield few
        return
    sizes = [(state, state.bytes) for state in seen.history if state.bytes is not None]
    least = lowest(sizes, newest) if sizes else 0
    if least >= LEAST_BYTES and newest.bytes < HALF * least:
        yield warning("canary.bytes", f"{newest.name}: {counted(newest.files, 'file')} with {human(newest.bytes)},"
                      f" at least {human(least)} in the last backups: files were cut or emptied")  # fmt: skip
    if seen.change and _is_encrypted(seen.change):
        change = seen.change
        yield warning("canary.encrypted", f"{newest.name}: {change.lost:,} of {change.files:,} files were replaced, and"
                      f" {change.opaque} of {change.read} new contents that were looked at have no known type:"
                      " they may be encrypted")  # fmt: skip


def _few_files(newest: SavedCounts, history: Sequence[SavedCounts]) -> Finding | None:
    values = [(state, state.files) for state in history if state.files is not None]
    if newest.files is None or not values:
        return None
    low = lowest(values, newest)
    if newest.files == 0 and low >= FEW_FILES:
        return warning("canary.files", f"{newest.name} holds no media file, usual are {usual(values, newest):,.0f}")
    if _is_fewer(newest.files, values, newest, LEAST_FILES):
        return warning("canary.files", f"{newest.name} holds {counted(newest.files, 'media file')}, at least {low:,} in"
                       f" the last backups, usual are {usual(values, newest):,.0f}")  # fmt: skip
    return None


def _is_encrypted(change: ReplacedFiles) -> bool:
    if not is_replaced(change.files, change.lost) or not change.read:
        return False
    before = change.opaque_before / change.read_before if change.read_before else 0.0
    return change.opaque / change.read - before >= OPAQUE_PART
