"""Findings about a media tree and its backups: mounts inside of it, links that lead out of it, files that are gone."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.artifact.manifest import Doubt
from korrigo_backup.core.excerpt import FEW, first_of
from korrigo_backup.core.finding import Finding, loss, ok, warning
from korrigo_backup.core.paths import leads_out, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.header import ManifestHeader
    from korrigo_backup.artifact.manifest import Manifest, MediaLink, MediaProof, StoreProof

SHRUNK, MOVED = "media.shrunk", "media.moved"
"""Values of `backup --accept` if so few files, or another file system, are right."""

_FEW = 20
"""Files from which on it is odd that more than half of them are gone."""

MOUNTS_HINT = "they are in the backup; before a restore of the media, umount them"


def mounts_inside(mounts: tuple[str, ...]) -> str:
    """Return the words for file systems that are mounted inside the media tree."""
    return f"{len(mounts)} file systems are mounted inside the media tree: {first_of(mounts)}"


def accepted(links: Iterable[MediaLink], patterns: Sequence[str]) -> tuple[MediaLink, ...]:
    """Return links out of the tree, those marked that the configuration accepts ([media] accepted_links)."""
    return tuple(replace(one, accepted=any(fnmatchcase(one.path, name) for name in patterns)) for one in links)


def doubt(proof: MediaProof, last: Artifact | None, accept: Iterable[str]) -> Doubt | None:
    """Return why new media may be incomplete, compared with their last backup; None if they look complete.

    If that backup is in doubt itself, its own reference is used instead.
    """
    header = last.header if last else None
    if last is None or header is None:
        return None
    before = _reference(last.name, header)
    gone = before.files and not proof.files
    if (gone or (before.files >= _FEW and proof.files * 2 < before.files)) and SHRUNK not in accept:
        return replace(before, reason="shrunk")
    former = header.file_system
    if former and proof.file_system and former != proof.file_system and MOVED not in accept:
        return replace(before, reason="moved", file_system=former)
    return None


def _reference(name: str, header: ManifestHeader) -> Doubt:
    if header.doubt and header.doubt.reason == "shrunk":
        return header.doubt
    return Doubt("", name, header.files or 0, header.file_system)


def of_media(manifest: Manifest) -> Iterator[Finding]:
    """Yield findings about the media in a backup: missing content, and obstacles to a restore."""
    proof = manifest.media
    if proof is None:
        return
    if manifest.doubt:
        yield doubtful(manifest.doubt, proof)
    if proof.store and proof.store.damaged:
        yield damaged_files(proof.store)
    yield from _links(proof.outside)
    if proof.mounts:
        yield warning("media.mounts", mounts_inside(proof.mounts), MOUNTS_HINT)
    if proof.notes:
        yield warning("media.left_out", f"{len(proof.notes)} entries of the media tree are not in the backup:"
                      f" {first_of(proof.notes)}", "right for sockets, pipes and devices")  # fmt: skip


def damaged_files(store: StoreProof) -> Finding:
    """Return the warning about stored files that were found damaged, and that the site does not have any more."""
    return warning("media.damaged", f"{len(store.damaged)} files in the media store are damaged, and the site does not"
                   f" have them any more: {first_of(store.damaged)}",
                   "older backups may name them: korrigo-backup verify --all; copy them back from another copy of the"
                   " backup directory")  # fmt: skip


def doubtful(found: Doubt, proof: MediaProof) -> Finding:
    """Return the warning about media that may not be all there are."""
    if found.reason == "shrunk":
        return warning("media.shrunk", f"the media have {proof.files} files; {found.reference} has {found.files}",
                       "see whether the disk with the uploads is mounted; if so few are right:"
                       f" korrigo-backup backup media --accept {SHRUNK}")  # fmt: skip
    return warning("media.moved", f"the media root is on {proof.file_system}; when {found.reference} was made it was on"
                   f" {found.file_system}", "see whether the disk with the uploads is mounted; the next backup takes"
                   " the new place for right")  # fmt: skip


def _links(outside: Sequence[MediaLink]) -> Iterator[Finding]:
    new = [one for one in outside if not one.accepted]
    shown = tuple(f"{one.path} -> {one.target}" for one in new)
    if new:
        names = ", ".join(f'"{one.path}"' for one in new[:FEW])
        yield warning("media.links", f"{len(new)} symbolic links lead out of the media tree, or to no file:"
                      f" {first_of(shown)}; the links are in the backup, the files that they name are not",
                      f"save those files elsewhere, then set [media] accepted_links = [{names}]")  # fmt: skip
    elif outside:
        yield ok("media.links", f"{len(outside)} accepted symbolic links lead out of the media tree")


def links_back(links: Mapping[str, str]) -> Iterator[Finding]:
    """Yield a warning about links that come back and lead out of the media tree: targets by path."""
    if shown := [f"{printable(path)} -> {printable(links[path])}" for path in links if leads_out(path, links[path])]:
        yield warning(
            "media.links",
            f"symbolic links that come back lead out of the media tree: {first_of(shown)}",
            "look where they lead; the files that they name are not in the backup",
        )


def losses(counts: Mapping[str, int], first: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Yield a loss for each kind of property that a restore of the media could not give back."""
    for kind, count in counts.items():
        names = first_of(tuple(first.get(kind, ())))
        if kind == "owner":
            yield loss("media.owners", f"{count} files and directories did not get their owner back: {names}", _AS_ROOT)
        elif kind == "mode":
            yield loss("media.modes", f"{count} files and directories did not get their mode back: {names}", _AS_ROOT)
        elif kind == "extended":
            yield loss("media.attributes", f"{count} ACLs and extended attributes could not be given back: {names}",
                       f"{_AS_ROOT}; the file system of the media may keep none")  # fmt: skip
        elif kind == "hard link":
            yield loss("media.hard_links", f"{count} hard links are files of their own now: {names}",
                       "the file system of the media has no hard links")  # fmt: skip
        else:
            yield loss("media.links_lost", f"{count} symbolic links could not be made: {names}",
                       "the file system of the media has none, or other entries have their names")  # fmt: skip


_AS_ROOT = "run the restore as root, or give them by hand (chown, chmod, setfacl)"


def foreseen(proof: MediaProof, user: int, groups: Sequence[int]) -> Iterator[Finding]:
    """Yield a loss for owners that a user other than root will not be able to give back."""
    others = {owner: count for owner, count in proof.owners.items() if not _may_give(owner, user, groups)}
    if others:
        names = first_of(tuple(sorted(others)))
        yield loss("media.owners", f"{sum(others.values())} files and directories belong to {names}: restored by user"
                   f" {user}, they will belong to {user}", _AS_ROOT)  # fmt: skip


def _may_give(owner: str, user: int, groups: Sequence[int]) -> bool:
    uid, _, gid = owner.partition(":")
    return user == 0 or (uid == str(user) and gid in {str(group) for group in groups})
