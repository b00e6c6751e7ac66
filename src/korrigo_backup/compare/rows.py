"""Narrow tables that differ to their rows: two sides are read as COPY text, and no data are loaded.

Rows belong together by primary key. A table of up to `SMALL` rows is compared in one pass: the saved side is kept as
key and 16-byte digest, the present side is compared with it. A larger table is first divided by a hash of the key into
`BUCKETS`, each with the count and the sum of its rows' hashes on both sides; a second pass compares only the buckets
that differ, as many as hold `HELD` rows of the saved side. So memory is bounded whatever the size, and the saved side
is read at most twice. Only when more than that differs are the counts a lower bound (`RowChange.exact`).

One file: both passes share the buckets and their limits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING

from korrigo_backup.compare.differences import RowChange
from korrigo_backup.core.paths import printable
from korrigo_backup.postgres import rows as site_rows
from korrigo_backup.postgres.dump.rows import TableRows, projected, tables
from korrigo_backup.system.files import CHUNK
from korrigo_backup.system.progress import reading
from korrigo_backup.system.streams import gunzip

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping
    from typing import IO

    from korrigo_backup.compare.present import PresentSide
    from korrigo_backup.postgres.digest import Snapshot

    Saved = Callable[[Container[str]], Iterator[TableRows]]
    """The saved side: called with names of tables, yields their rows, once a call."""

    Row = tuple[bytes, bytes]
    """A key and the row it stands for; both are the whole row when there is no key."""

SMALL = 50_000
"""Rows of a table that is compared in one pass: some 15 MB."""

HELD = 200_000
"""Rows of differing buckets that are held at once: some 40 MB."""

BUCKETS = 1 << 16
"""A million rows are 15 a bucket, so that thousands of changed rows are still counted exactly; 6 MB for a table."""

SHOWN = 5
"""Keys of each kind that are named by default."""

_WHOLE_KEY = 64
"""Bytes up to which a key is kept as it is; a longer key as its beginning and a digest."""

_ONE = 1 << 64
"""Added to each hash in a sum: the upper bits then count the rows."""


def dump_rows(file: IO[bytes], source: str) -> Saved:
    """Return the saved side that an open dump is; it is read from its start at each call, and left there."""

    def read(wanted: Container[str]) -> Iterator[TableRows]:
        file.seek(0)
        with reading("comparing the rows of tables", file) as work:
            for table in tables(gunzip(iter(lambda: file.read(CHUNK), b""), source), source, wanted):
                work.item = table.table
                yield table
        file.seek(0)

    return read


def database_rows(taken: Snapshot) -> Saved:
    """Return the saved side that a snapshot of another database is."""
    layouts = site_rows.layouts(taken)

    def read(wanted: Container[str]) -> Iterator[TableRows]:
        for name, layout in layouts.items():
            if name in wanted:
                lines = site_rows.lines(taken, layout, layout.columns, settings=site_rows.SAME)
                yield TableRows(name, layout.columns, "UTF8", lines)

    return read


def narrow(
    saved: Saved,
    now: PresentSide,
    wanted: Mapping[str, int],
    *,
    settings: str = site_rows.OURS,
    shown: int = SHOWN,
    small: int = SMALL,
) -> dict[str, RowChange]:
    """Return which rows differ, for each table of `wanted` that is on both sides.

    `wanted` gives the number of rows on the side that has more. `settings` are those under which the saved side was
    written (`postgres/rows.py`). Raises ProofFailed for a dump that cannot be read, Unreachable for a server.
    """
    layouts = now.layouts()
    found: dict[str, RowChange] = {}
    sieves: dict[str, _Sieve] = {}
    for table in saved(wanted):
        if table.table not in layouts:
            continue
        pair = _Pair(table, layouts[table.table], now, settings)
        if wanted[table.table] > small:
            sieves[table.table] = _sieve(pair)
        else:
            found[table.table] = _compare(pair, shown, None)
    for table in saved(sieves) if sieves else ():
        pair = _Pair(table, layouts[table.table], now, settings)
        found[table.table] = _compare(pair, shown, sieves[table.table])
    return found


def narrow_under(
    settings: Iterable[str], saved: Saved, now: PresentSide, wanted: Mapping[str, int], *, shown: int = SHOWN
) -> dict[str, RowChange]:
    """Return for each table the change under the setting, of several, that leaves most rows equal.

    A dump without a manifest does not hold the settings under which it was written.
    """
    best: dict[str, RowChange] = {}
    for each in settings:
        left = {name: rows for name, rows in wanted.items() if name not in best or best[name].count}
        if left:
            for name, change in narrow(saved, now, left, settings=each, shown=shown).items():
                best[name] = min(best.get(name, change), change, key=lambda one: one.count)
    return best


@dataclass(frozen=True)
class RowPairs:
    """The change of a table, and the rows of the keys that it names, before and after; None on a side without the row.

    A row is its COPY line: the cells of `columns` in `encoding`.
    """

    change: RowChange
    columns: tuple[str, ...]
    encoding: str
    rows: tuple[tuple[bytes | None, bytes | None], ...]


def narrow_with_rows(
    saved: Saved, now: PresentSide, table: str, rows: int | None, *, shown: int = SHOWN, small: int = SMALL
) -> RowPairs | None:
    """Return which rows of a table differ, with the rows of the first `shown` of each kind; None if a side lacks it.

    `rows` is the number of rows on the side that has more, None if it is not known. Memory is bounded as by `narrow`,
    and by the rows that are shown. Raises as `narrow`.
    """
    layout = now.layouts().get(table)
    if layout is None:
        return None
    sieve = tallies = None
    if rows is None or rows > small:
        for one in saved({table}):
            sieve = _sieve(_Pair(one, layout, now, site_rows.OURS))
    for one in saved({table}):
        pair = _Pair(one, layout, now, site_rows.OURS)
        tallies = _tallied(pair, shown, sieve)
        change = _change(pair, tallies, sieve)
    if tallies is None:
        return None
    wanted = {key for tally in tallies for key in tally.first}
    before, after = dict[bytes, bytes](), dict[bytes, bytes]()
    for one in saved({table}):
        pair = _Pair(one, layout, now, site_rows.OURS)
        before.update((key, row) for full, row in pair.saved() if (key := _short(full)) in wanted)
        after.update((key, row) for full, row in pair.now() if (key := _short(full)) in wanted)
        encoding = one.encoding
    added, changed, removed = (tally.first for tally in tallies)
    pairs = [*((before.get(key), after.get(key)) for key in changed), *((before.get(key), None) for key in removed),
             *((None, after.get(key)) for key in added)]  # fmt: skip
    return RowPairs(change, pair.columns, encoding, tuple(pairs))


class _Pair:
    """A table on both sides, its rows made comparable: the columns that both have, in the same order."""

    def __init__(
        self, saved: TableRows, layout: tuple[tuple[str, ...], tuple[str, ...]], now: PresentSide, settings: str
    ) -> None:
        columns, key = layout
        here = set(columns)
        self.columns = tuple(column for column in saved.columns if column in here)
        self.new_columns = tuple(c for c in columns if c not in saved.columns)
        self.lost_columns = tuple(c for c in saved.columns if c not in here)
        self.key = key if set(key) <= set(self.columns) else ()
        self._saved = saved
        self._now = now
        self._settings = settings

    def saved(self) -> Iterator[Row]:
        lines = self._saved.lines
        if self.lost_columns:
            lines = projected(lines, [self._saved.columns.index(column) for column in self.columns])
        return self._keyed(lines)

    def now(self) -> Iterator[Row]:
        saved = self._saved
        return self._keyed(self._now.lines(saved.table, self.columns, settings=self._settings, encoding=saved.encoding))

    def _keyed(self, lines: Iterator[bytes]) -> Iterator[Row]:
        if not self.key:
            return ((line, line) for line in lines)
        places = [self.columns.index(column) for column in self.key]
        if places == [0]:
            return ((line.partition(b"\t")[0], line) for line in lines)
        return _with_key(lines, places)

    def named(self, keys: Iterable[bytes]) -> tuple[str, ...]:
        return tuple(self._name(key) for key in keys)

    def _name(self, key: bytes) -> str:
        shown, cut, _ = key.partition(b"\0")
        names = self.key or self.columns
        cells = shown.decode("utf-8", "surrogateescape").split("\t")
        text = ", ".join(f"{printable(name)}={printable(cell)}" for name, cell in zip(names, cells, strict=False))
        return f"{text}…" if cut else text


def _with_key(lines: Iterator[bytes], places: list[int]) -> Iterator[Row]:
    splits = max(places) + 1
    for line in lines:
        cells = line.split(b"\t", splits)
        yield b"\t".join([cells[place] for place in places]), line


@dataclass(frozen=True)
class _Sieve:
    """The buckets of a table that are to be compared, and whether these are all that differ."""

    chosen: bytes
    complete: bool


def _sieve(pair: _Pair) -> _Sieve:
    """Find the buckets that differ.

    Python's hash of bytes has 64 bits and a new key in each process, so that no rows can be made to cancel out.
    """
    balance, held = [0] * BUCKETS, [0] * BUCKETS
    for key, row in pair.saved():
        bucket = hash(key) % BUCKETS
        balance[bucket] += hash(row) + _ONE
        held[bucket] += 1
    for key, row in pair.now():
        balance[hash(key) % BUCKETS] -= hash(row) + _ONE
    chosen, rows, complete = bytearray(BUCKETS), 0, True
    for bucket, different in enumerate(balance):
        if not different:
            continue
        if rows and rows + held[bucket] > HELD:
            complete = False
            break
        chosen[bucket] = 1
        rows += held[bucket]
    return _Sieve(bytes(chosen), complete)


@dataclass
class _Tally:
    """A count of rows and the keys of the first of them."""

    shown: int
    count: int = 0
    first: list[bytes] = field(default_factory=list)

    def add(self, key: bytes, count: int = 1) -> None:
        if len(self.first) < self.shown:
            self.first.append(key)
        self.count += count


_Tallies = tuple[_Tally, _Tally, _Tally]
"""The rows that were added, changed and removed."""


def _compare(pair: _Pair, shown: int, sieve: _Sieve | None) -> RowChange:
    return _change(pair, _tallied(pair, shown, sieve), sieve)


def _tallied(pair: _Pair, shown: int, sieve: _Sieve | None) -> _Tallies:
    added, changed, removed = _Tally(shown), _Tally(shown), _Tally(shown)
    saved, now = (_sifted(rows, sieve) for rows in (pair.saved(), pair.now()))
    if pair.key:
        _by_key(saved, now, added, changed, removed)
    else:
        _by_row(saved, now, added, removed)
    return added, changed, removed


def _change(pair: _Pair, tallies: _Tallies, sieve: _Sieve | None) -> RowChange:
    added, changed, removed = tallies
    return RowChange(
        added=added.count,
        changed=changed.count,
        removed=removed.count,
        exact=sieve is None or sieve.complete,
        key=pair.key,
        added_keys=pair.named(added.first),
        changed_keys=pair.named(changed.first),
        removed_keys=pair.named(removed.first),
        new_columns=pair.new_columns,
        lost_columns=pair.lost_columns,
    )


def _sifted(rows: Iterator[Row], sieve: _Sieve | None) -> Iterator[Row]:
    if sieve is None:
        return rows
    chosen = sieve.chosen
    return (pair for pair in rows if chosen[hash(pair[0]) % BUCKETS])


def _by_key(saved: Iterator[Row], now: Iterator[Row], added: _Tally, changed: _Tally, removed: _Tally) -> None:
    """Hold rows against each other by key.

    The key is the present side's: should the saved side hold it twice, the second row counts as removed.
    """
    digests: dict[bytes, bytes] = {}
    for key, row in saved:
        short = _short(key)
        if short in digests:
            removed.add(short)
        else:
            digests[short] = _digest(row)
    for key, row in now:
        short = _short(key)
        digest = digests.pop(short, None)
        if digest is None:
            added.add(short)
        elif digest != _digest(row):
            changed.add(short)
    for short in digests:
        removed.add(short)


def _by_row(saved: Iterator[Row], now: Iterator[Row], added: _Tally, removed: _Tally) -> None:
    """Hold whole rows against each other, each as often as it is there."""
    times: dict[bytes, int] = {}
    for _, row in saved:
        short = _short(row)
        times[short] = times.get(short, 0) + 1
    for _, row in now:
        short = _short(row)
        left = times.pop(short, 0)
        if not left:
            added.add(short)
        elif left > 1:
            times[short] = left - 1
    for short, count in times.items():
        removed.add(short, count)


def _digest(row: bytes) -> bytes:
    return blake2b(row, digest_size=16).digest()


def _short(key: bytes) -> bytes:
    """Return a key of bounded length; a NUL, which no row's text holds, marks a key that was cut."""
    return key if len(key) <= _WHOLE_KEY else key[: _WHOLE_KEY - 17] + b"\0" + _digest(key)
