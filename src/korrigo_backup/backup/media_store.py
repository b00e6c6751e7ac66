"""A media backup in the media store: contents that are not there yet, and a listing of the tree."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from korrigo_backup.artifact.manifest import Member
from korrigo_backup.backup.backup import require_same
from korrigo_backup.media.stable import made
from korrigo_backup.media.store import listing
from korrigo_backup.media.store.objects import MediaStore
from korrigo_backup.media.store.save import FormerListing, save
from korrigo_backup.system.files import create_private, open_plain, read_plain, replace_whole, sha256_of
from korrigo_backup.system.streams import HashingWriter
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.artifact.manifest import MediaProof
    from korrigo_backup.media.port import Tree
    from korrigo_backup.media.store.objects import ObjectWriter
    from korrigo_backup.site.site import Site
    from korrigo_backup.system.progress import Work

_REREAD = ".reread"
"""The file in the media store with the share that was read last."""

_LARGEST = 4096
_UNREADABLE = {errno.EIO, errno.EUCLEAN, errno.EBADMSG, errno.ELOOP, errno.EISDIR}
"""A damaged disk or file system; a link or a directory in place of the file."""

_Made = tuple["MediaProof", tuple[Member, ...]]


class _Share(msgspec.Struct, frozen=True):
    day: int = 0
    number: int = -1


def store_tree(
    site: Site,
    tree: Tree,
    catalog: Catalog,
    target: Path,
    last: Artifact | None,
    now: datetime,
    restart: Callable[[str], None],
    work: Work | None = None,
) -> _Made:
    """Store the files of a tree and write their listing to `target`; return the proof and the members.

    A share of the store is read before, to find damage: a damaged file is moved away, and stored anew if the site still
    has it. The caller holds the lock. Raises ProofFailed if the disk does not give back what was written.
    """
    store = MediaStore(catalog.directory)
    reread, bad = reread_share(store, now, site.store.reread_nights)
    with store.writing() as writer:
        proof, members = made(partial(_saved, tree, writer, store, target, last, site.archive_root, work), restart)
    lost = tuple(name for name in bad if not store.path(name).exists())
    counted = replace(proof.store, reread=reread, damaged=lost) if proof.store else None
    return replace(proof, store=counted), members


@phase("rereading of stored media")
def reread_share(store: MediaStore, now: datetime, nights: int) -> tuple[int, list[str]]:
    """Read the share of the stored files that is due today; return their number and the names of the damaged ones.

    Those are moved away. One of so many `nights` shares is read on a day, the next one on the next day that has a media
    backup; with 1 all is read by each backup, with 0 nothing.
    """
    if not nights:
        return 0, []
    count, bad, last = 0, [], _last_share(store)
    if nights > 1 and last.day == now.toordinal():
        return 0, []
    share = (last.number + 1) % nights
    for name in store.names(shelf for shelf in store.shelves() if int(shelf.name, 16) % nights == share):
        count += 1
        if not _is_whole(store.path(name)):
            store.set_aside(name)
            bad.append(name)
    if store.directory.is_dir():
        replace_whole(store.directory / _REREAD, msgspec.json.encode(_Share(now.toordinal(), share)))
    return count, bad


def _is_whole(path: Path) -> bool:
    """Return whether the content of a stored file is that of its name; a file that the disk does not give is not."""
    try:
        return sha256_of(path)[0] == path.name
    except ValueError:  # it is no regular file
        return False
    except OSError as problem:
        if problem.errno not in _UNREADABLE:
            raise
        return False


def _last_share(store: MediaStore) -> _Share:
    """Return the share that was read last; the one before the first if that is not known."""
    try:
        return msgspec.json.decode(read_plain(store.directory / _REREAD, _LARGEST), type=_Share)
    except (OSError, ValueError):
        return _Share()


@phase("media store")
def _saved(
    tree: Tree,
    writer: ObjectWriter,
    store: MediaStore,
    path: Path,
    last: Artifact | None,
    root: str,
    work: Work | None,
    *,
    again: bool,
) -> _Made:
    with ExitStack() as stack:
        former = _former(last, store, stack)
        with create_private(path) as file:
            target = HashingWriter(file)
            proof = save(tree, writer, target, root=root, name=path.name, former=former, again=again, work=work)
            os.fsync(file.fileno())
    require_same(sha256_of(path)[0], target.sha256, path.name)
    return proof, (Member(path.name, target.size, target.sha256),)


def _former(last: Artifact | None, store: MediaStore, stack: ExitStack) -> FormerListing | None:
    """Return the listing of the last backup, None if there is none, or if it is not the file that was signed."""
    manifest = last.manifest if last else None
    if last is None or manifest is None or manifest.created is None or not last.is_listing:
        return None
    signed = {(member.sha256, member.size) for member in manifest.members}
    if sha256_of(last.path) not in signed:
        return None
    file = stack.enter_context(open_plain(last.path))
    began_ns = int(manifest.created.timestamp()) * 1_000_000_000
    return FormerListing(listing.unpacked(file, last.name), store, began_ns=began_ns)
