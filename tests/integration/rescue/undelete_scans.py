"""The files of the items of a random graph: as they were, as a loss has left them, and as an undelete leaves them."""

import shutil
from dataclasses import dataclass
from random import Random

from integration.rescue.undelete_graphs import Place, Rows

Files = dict[str, bytes]


@dataclass(frozen=True)
class Scans:
    """The files of then, and those of now: of deleted items some are gone, some are kept, some have other content."""

    rows: Rows
    then: Files
    now: Files

    def of(self, places: set[Place]) -> set[str]:
        """The files that some rows of then name."""
        named = {self.rows[table][number]["scan"] for table, number in places if table == "item"}
        return named & self.then.keys()

    def in_the_way(self, places: set[Place]) -> set[str]:
        """Those of them in whose place there is other content."""
        return {path for path in self.of(places) if self.now.get(path, self.then[path]) != self.then[path]}

    def after(self, places: set[Place], over: set[str]) -> Files:
        """The files after some rows are back; those of `over` are overwritten."""
        return self.now | {path: self.then[path] for path in self.of(places) if path not in self.now or path in over}


def scans(rows: Rows) -> Files:
    """The files that the items name."""
    return {row["scan"]: f"scan {number}".encode() for number, row in rows["item"].items() if row["scan"]}


def lose_scans(rng: Random, then: Rows, live: Rows, saved: Files) -> Scans:
    """Some files of deleted items are gone, some have other content."""
    now = dict(saved)
    for path in sorted(saved.keys() - {row["scan"] for row in live["item"].values()}):
        fate = rng.random()
        if fate < 0.6:
            del now[path]
        elif fate < 0.8:
            now[path] = b"another"
    return Scans(then, saved, now)


def put_files(site, files: Files) -> None:
    """Make the media of a site these files and no others."""
    shutil.rmtree(site.media, ignore_errors=True)
    site.media.mkdir()
    for path, content in files.items():
        site.write(path, content)


def read_files(site) -> Files:
    """The files among the media, without those that an undelete keeps for its rollback."""
    found = {str(path.relative_to(site.media)): path for path in site.media.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(".")}
