"""The media archive that manage.py restores, made from the media store for a backup that has only the listing.

It is written to a file without a name in the backup directory, which nothing leaves behind.
"""

from __future__ import annotations

import tempfile
from typing import IO, TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.artifact import manifest as manifests
from korrigo_backup.artifact.kinds import LISTING_SUFFIX
from korrigo_backup.artifact.manifest import Member
from korrigo_backup.artifact.naming import DIRECTORY_MANIFEST, MEMBERS_SUFFIX
from korrigo_backup.core.size import human
from korrigo_backup.errors import Refused
from korrigo_backup.media import zip_archive
from korrigo_backup.media.store.objects import MediaStore
from korrigo_backup.media.store.stored_tree import StoredTree
from korrigo_backup.system.files import explained, free_bytes
from korrigo_backup.system.streams import HashingWriter
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack
    from pathlib import Path

    from korrigo_backup.artifact.manifest import Manifest


def require_room(directory: Path, manifest: Manifest) -> None:
    """Raise Refused if the archive of a backup whose media are in the store may not fit into the backup directory."""
    media = manifest.media
    if media and media.store and (free := free_bytes(directory)) < media.bytes:
        raise Refused(
            f"manage.py restores media from an archive of {human(media.bytes)}; {directory} has {human(free)} free",
            hint="make room there; or restore database and media apart, from a restore point: korrigo-backup list",
        )


@phase("media archive")
def with_archive(
    directory: Path, manifest: Manifest, files: Mapping[str, IO[bytes]], stack: ExitStack
) -> dict[str, IO[bytes]]:
    """Return the files of a Django backup with an archive and its checksums in place of the listing of the media store.

    The manifest names them. The files are open until `stack` ends. Raises ProofFailed for a damaged stored file.
    """
    name = (manifest.media_backup or "").removesuffix(LISTING_SUFFIX) + ".zip"
    checksums = name + MEMBERS_SUFFIX
    listing = files[manifest.media_backup or ""]
    listing.seek(0)
    with explained(f"write the media archive into {directory.parent}"):
        new = {
            one: stack.enter_context(tempfile.TemporaryFile(dir=directory.parent, buffering=0))  # noqa: SIM115 - closed by `stack`
            for one in (name, checksums, DIRECTORY_MANIFEST)
        }
        archive, lines = HashingWriter(new[name]), HashingWriter(new[checksums])
        tree = StoredTree(listing, str(manifest.media_backup), MediaStore(directory.parent), repeat=True)
        proof = zip_archive.create(tree, archive, lines, members_name=checksums)
        made = (Member(name, archive.size, archive.sha256), Member(checksums, lines.size, lines.sha256))
        others = tuple(member for member in manifest.members if member.name != manifest.media_backup)
        whole = replace(manifest, media_backup=name, media=proof, members=(*others, *made))
        HashingWriter(new[DIRECTORY_MANIFEST]).write(manifests.encode(whole))
    return {**{other: file for other, file in files.items() if other != manifest.media_backup}, **new}
