"""The counts of a media backup while it is made, by every way that a tree is saved."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from korrigo_backup.artifact.manifest import MediaLink, MediaProof
from korrigo_backup.core.paths import printable, readable

if TYPE_CHECKING:
    from korrigo_backup.artifact.manifest import StoreProof
    from korrigo_backup.media.walk import TreeEntry

NOTES = 50
"""Odd entries named in a manifest; a tree full of sockets is a finding, not a list."""

_LINKS = 1000
"""Links that a manifest can name; of more it names none."""

_OUTSIDE = 1000
"""Links out of the tree that are named in a manifest."""


@dataclass
class MediaCounts:
    """The files, bytes and owners that were saved, and the entries that the manifest names."""

    files: int = 0
    bytes: int = 0
    notes: list[str] = field(default_factory=list)
    unstable: list[str] = field(default_factory=list)
    owners: dict[str, int] = field(default_factory=dict)
    outside: list[MediaLink] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    link_count: int = 0

    def add_file(self, size: int) -> None:
        """Count a file and its content, of `size` bytes."""
        self.files += 1
        self.bytes += size

    def add_owner(self, entry: TreeEntry) -> None:
        """Count an entry that was saved, by its `uid:gid`."""
        owner = f"{entry.info.st_uid}:{entry.info.st_gid}"
        self.owners[owner] = self.owners.get(owner, 0) + 1

    def note_odd(self, entry: TreeEntry) -> None:
        """Note an entry that is left out: a device, a socket, a pipe, in a ZIP archive a link, too."""
        self.note(f"{entry.odd} left out: {printable(entry.path)}")

    def note(self, text: str) -> None:
        """Note `text` for the manifest, unless it has many notes already."""
        if len(self.notes) < NOTES:
            self.notes.append(text)

    def note_link(self, entry: TreeEntry, target: str) -> None:
        """Note a symbolic link to `target`; by its target, too, if that leads out of the tree.

        The manifest holds UTF-8: other names are left out of `links`.
        """
        self.link_count += 1
        if len(self.links) < _LINKS and readable(entry.path + target) == entry.path + target:
            self.links[entry.path] = target
        if entry.leads_out and len(self.outside) < _OUTSIDE:
            self.outside.append(MediaLink(printable(entry.path), printable(target)))

    def proof(self, *, members: str, root: str, properties: bool = True, store: StoreProof | None = None) -> MediaProof:
        """Return the counts as the manifest has them; `members` names the listing.

        `properties` is False where owners, modes and attributes are not saved.
        """
        return MediaProof(
            files=self.files,
            bytes=self.bytes,
            members=members,
            root=root,
            notes=tuple(self.notes),
            unstable=tuple(self.unstable),
            properties=properties,
            owners=self.owners,
            outside=tuple(self.outside),
            links=self.links if store is None and self.link_count <= _LINKS else None,
            store=store,
        )
