"""Restore a media tree from the store: every file is proven while it is written."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from korrigo_backup.core.paths import printable, stays_inside
from korrigo_backup.errors import ProofFailed
from korrigo_backup.media.archive import Content, given_properties
from korrigo_backup.media.store.objects import damaged
from korrigo_backup.system.files import CHUNK, write_all

if TYPE_CHECKING:
    from collections.abc import Iterable

    from korrigo_backup.media.port import Stage
    from korrigo_backup.media.store.listing import ListedEntry
    from korrigo_backup.media.store.objects import MediaStore


def load(entries: Iterable[ListedEntry], store: MediaStore, staging: Stage, *, trusted: bool) -> Content:
    """Write the entries of a listing into `staging`, each file proven while it is written.

    From a listing that is not `trusted` no setuid bit, no attribute of the system, and no link that could lead out of
    the tree is restored. Raises ProofFailed for a stored file that is missing or damaged.
    """
    files = size = 0
    notes = []
    for entry in entries:
        given = given_properties(
            entry.mode,
            entry.mtime_ns,
            entry.owner,
            entry.extended,
            trusted=trusted,
            directory=entry.sha256 is None and entry.target is None,
        )
        if entry.target is not None:
            if trusted or stays_inside(entry.path, entry.target):
                staging.add_link(entry.path, entry.target, mtime_ns=given["mtime_ns"], owner=given["owner"])
            else:
                notes.append(f"link that leads out of the tree, left out: {printable(entry.path)}")
        elif entry.sha256 is None:
            staging.add_directory(entry.path, **given)
        elif entry.same_as is not None:
            _add_other_name(staging, entry.path, entry.same_as)
            files += 1
        else:
            with staging.create(entry.path) as file:
                digest = hashlib.sha256()
                with store.open(entry.sha256) as content:
                    while piece := content.read(CHUNK):
                        digest.update(piece)
                        write_all(file, piece)
                if digest.hexdigest() != entry.sha256:
                    raise damaged(entry.sha256)
                staging.settle(file, **given)
            files += 1
            size += entry.size
    return Content(files, size, tuple(notes))


def verify(entries: Iterable[ListedEntry], store: MediaStore, *, content: bool) -> tuple[int, int]:
    """Return the number of files and their bytes; ProofFailed if a file is not stored with its size.

    With `content` each file is read, and its checksum compared.
    """
    files = size = 0
    for entry in entries:
        if entry.sha256 is None:
            continue
        files += 1
        if entry.same_as is None:
            size += entry.size
            check = store.verify if content else store.require
            check(entry.sha256, entry.size)
    return files, size


def _add_other_name(staging: Stage, path: str, existing: str) -> None:
    try:
        staging.add_hard_link(path, existing)
    except FileNotFoundError:
        raise ProofFailed(
            f"the listing says that {printable(path)} is a link to {printable(existing)}, which does not come before"
            " it",
            hint="use another backup: korrigo-backup list shows them",
        ) from None
