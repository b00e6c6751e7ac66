"""A media tree, wherever it is: on this machine (`tree.py`) or behind a container (`remote/tree.py`)."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Protocol

from korrigo_backup.media.tree import RESTORE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from korrigo_backup.media.reuse import LiveFile
    from korrigo_backup.media.single_files import SingleFiles
    from korrigo_backup.media.stable import Steady
    from korrigo_backup.media.staging import GivenProperties, LostFileProperties
    from korrigo_backup.media.tree import Move, TreeFacts
    from korrigo_backup.media.walk import TreeEntry


class Stage(Protocol):
    """A tree being staged next to the live tree; see `staging.Staging`."""

    def add_directory(self, path: str, given: GivenProperties) -> None:
        """Make a directory; `finish` sets its properties. The empty path is the root."""
        ...

    def create(self, path: str) -> IO[bytes]:
        """Open a new file for writing; FileExistsError for a second file of that path, at once or by `finish`."""
        ...

    def settle(self, file: IO[bytes], given: GivenProperties) -> None:
        """Give a written file its mode, time, owner and attributes."""
        ...

    def take_over(self, files: Sequence[LiveFile], *, link: bool) -> list[bool]:
        """Take over those live files that are unchanged; return for each whether that was done.

        With `link` they are linked and not read. Else their blocks are shared where the file system can do that, and
        their content is read and compared with their SHA-256.
        """
        ...

    def add_hard_link(self, path: str, existing: str) -> None:
        """Give a file that was written before a second name."""
        ...

    def add_link(self, path: str, target: str, *, mtime_ns: int, owner: tuple[int, int] | None = None) -> None:
        """Make a symbolic link when all files are there."""
        ...

    def carry_link(self, path: str, target: str) -> None:
        """Make a symbolic link of the live tree, unless something else has its path."""
        ...

    def finish(self) -> LostFileProperties:
        """Set directory modes, force all to disk, give the tree its proven name.

        Returns the properties that were not given back.
        """
        ...

    def close(self) -> None:
        """Close the open descriptors; the tree stays as it is."""
        ...


class Tree(Protocol):
    """The operations of backups and restores on a media tree; `media.MediaTree` describes the guarantees.

    `root` is its path where it is: a name for messages, not always a path that this machine could open.
    """

    @property
    def root(self) -> Path:
        """The path of the tree where it is."""
        ...

    def require(self) -> None:
        """Raise NotFound when the root is not a directory."""
        ...

    def facts(self) -> TreeFacts:
        """Return the facts about the tree that are known without reading it."""
        ...

    @property
    def read_only(self) -> bool:
        """Whether the tree cannot be written from here."""
        ...

    def require_writable(self, paths: Sequence[str] = (), *, swap: bool = False, kept: str = "") -> None:
        """Raise Refused if the root, or the directory of a path, cannot be written.

        With `swap` the directories among its children are looked at, too: a directory is moved only by its writers.
        Those of other restores are not moved; `kept` names the one whose children a rollback moves in.
        """
        ...

    def exists(self) -> bool:
        """Return whether there is a root."""
        ...

    def names(self) -> list[str]:
        """Return the names of the root's children."""
        ...

    def free(self) -> int:
        """Return the bytes that may still be written."""
        ...

    def walk(self) -> Iterator[TreeEntry]:
        """Yield every entry below the root, ordered by the parts of the path."""
        ...

    def contents(self, knows: Callable[[TreeEntry], bool] | None = None) -> Iterator[tuple[TreeEntry, Steady | None]]:
        """Yield the root and the entries of `walk`, with all properties for a restore, and each file's content.

        A regular file for which `knows` returns True comes without its content: it is not read. `knows` is asked about
        every regular file, in the order of the walk.
        """
        ...

    def links(self) -> Iterator[tuple[str, str, bool]]:
        """Yield path and target of every symbolic link, and whether it leads out of the tree."""
        ...

    def digests(self, knows: Callable[[TreeEntry], str | None] | None = None) -> Iterator[tuple[str, str]]:
        """Yield path and SHA-256 of every regular file; it is not read if `knows` returns its SHA-256.

        `knows` is asked about every regular file, in the order of the walk.
        """
        ...

    def opened(self) -> Iterator[tuple[str, bool]]:
        """Yield the path of every regular file, and whether it can be opened."""
        ...

    def stage(self, stamp: str) -> Stage:
        """Return an empty tree next to the live children."""
        ...

    def announce(self, stamp: str, move: Move) -> None:
        """Begin a swap."""
        ...

    def swap(self, stamp: str, move: Move = RESTORE) -> Path:
        """Swap the children; return where the old children are kept."""
        ...

    def undo_swap(self, stamp: str, move: Move = RESTORE) -> None:
        """Make the tree old again, wherever `swap` stopped."""
        ...

    def undo_moves(self, stamp: str, move: Move) -> None:
        """Move the old children back."""
        ...

    def undo_announce(self, stamp: str, move: Move) -> None:
        """Mark the swap as no longer in progress."""
        ...

    def unfinished(self) -> list[tuple[str, Move]]:
        """Return the swaps that a killed run left half done."""
        ...

    def kept(self, role: str) -> list[str]:
        """Return the stamps of the copies kept under `role`, newest first."""
        ...

    def discard_kept(self, role: str, stamp: str) -> None:
        """Remove the copy kept under `role` and `stamp`."""
        ...

    def half_discarded(self) -> list[tuple[str, str]]:
        """Return role and stamp of copies that a killed run had begun to discard."""
        ...

    def discard_stage(self, stamp: str) -> None:
        """Remove the stage of `stamp`."""
        ...

    def remove_files(self, paths: Sequence[str]) -> int:
        """Remove files and symbolic links, forced to disk; return how many were there. Directories keep their times."""
        ...

    def record(self, stamp: str) -> bytes:
        """Return the record of a Method 2 restore."""
        ...

    def is_held(self) -> bool:
        """Return whether another run has locked the tree now."""
        ...

    @property
    def single_files(self) -> SingleFiles:
        """The operations on single files of the tree."""
        ...

    def aside(self, role: str, stamp: str) -> Tree:
        """Return the copy kept under a role and stamp, as a tree of its own."""
        ...

    def beside(self, role: str, stamp: str) -> Path:
        """Return the path of an entry next to the live children."""
        ...
