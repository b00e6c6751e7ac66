"""The recovery kit: the files that a bare server needs besides the backups, saved after each change (contract C5).

The kit is encrypted.
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup import __version__
from korrigo_backup.core.counted import counted
from korrigo_backup.core.finding import Finding, ok, warning
from korrigo_backup.core.paths import printable
from korrigo_backup.errors import NotFound, ProofFailed, UsageError
from korrigo_backup.kit.archive import LARGEST, LARGEST_FILE, Opened, pack
from korrigo_backup.kit.files import check, damage, known, read
from korrigo_backup.kit.model import ELSEWHERE, KEY, PROJECT, README, Contents, KitFile, KitLink, KitRecord, seal
from korrigo_backup.kit.readme import ReadmeFacts, readme
from korrigo_backup.run.journal import Running, SiteName, recorded
from korrigo_backup.run.step import KitPublished, Listener, silent
from korrigo_backup.system import age
from korrigo_backup.system.files import explained, write_private

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.artifact.keyring import Keyring
    from korrigo_backup.core.secret import Secret
    from korrigo_backup.kit.files import Kit


@dataclass(frozen=True)
class KitSource:
    """The inputs of a kit. `required` are files that the configuration names, `usual` those saved if they exist.

    `directory` is the project's, absolute: paths below it are kept relative to it.
    """

    name: str
    directory: Path
    required: tuple[Path, ...]
    usual: tuple[Path, ...]
    keyring: Keyring
    recipients: tuple[str, ...]
    facts: ReadmeFacts
    secrets: tuple[Secret, ...] = ()


@dataclass(frozen=True)
class SavedKit:
    """The newest kit, and whether it was made just now."""

    path: Path
    new: bool


@dataclass(frozen=True)
class _Gathered:
    contents: Contents
    files: Mapping[str, bytes]
    seal: str


def save_if_changed(catalog: Catalog, source: KitSource, *, now: datetime) -> list[Finding]:
    """Save a kit if there are recipients and its content has changed; the caller holds the site's lock.

    Missing recipients are a warning. Raises as `save` if a kit is wanted and cannot be made.
    """
    if not source.recipients:
        return [unconfigured()]
    saved = _saved(catalog, source, now, Running())
    return [ok("kit.saved", f"recovery kit saved: {saved.path.name}")] if saved.new else []


def unconfigured() -> Finding:
    """Return the warning that the secrets of this site are saved nowhere."""
    return warning("kit.unconfigured", "no recovery kit: .env and the signing key are saved nowhere",
                   "set [kit] recipients (or KORRIGO_BACKUP_KIT_RECIPIENTS) to the public key of each reader:"
                   " age1… or ssh-ed25519 …, whose private key is not on this machine")  # fmt: skip


def state(catalog: Catalog, source: KitSource, *, now: datetime) -> list[Finding]:
    """Return whether the secrets of this site are saved, whole, and up to date; makes no kit."""
    if not source.recipients:
        return [unconfigured()]
    try:
        age.require_library()
    except UsageError as problem:
        return [warning("kit.library", f"no recovery kit can be made: {problem.message}", problem.hint)]
    newest = next(iter(known(catalog)), None)
    if newest is None:
        return [warning("kit.none", "no recovery kit has been made yet", "korrigo-backup kit make")]
    return [*check(newest), changes(newest, source, now=now)]


def save(catalog: Catalog, source: KitSource, *, now: datetime, listen: Listener = silent) -> SavedKit:
    """Save a kit unless the newest kit is whole and holds the same for the same recipients.

    Raises UsageError without recipients or without pyrage, NotFound for a file that the configuration names.
    """
    if not source.recipients:
        raise UsageError("the recovery kit has no recipient", hint=unconfigured().hint)
    age.require_library()
    with (
        catalog.exclusive("recovery kit"),
        recorded(catalog.directory, SiteName(source.name, source.secrets), "kit", "make", listener=listen) as running,
    ):
        return _saved(catalog, source, now, running)


def changes(kit: Kit, source: KitSource, *, now: datetime) -> Finding:
    """Return whether a kit holds the present files; without opening it, by its seal."""
    if not source.keyring.keys:
        return _keyless()
    gathered = _gather(source, now)
    if kit.record and kit.record.seal == gathered.seal:
        return ok("kit.current", "no change since it was made")
    return warning("kit.stale", "its files or its recipients have changed since it was made",
                   "korrigo-backup kit make")  # fmt: skip


def opened_well(opened: Opened) -> Finding:
    """Return that a kit was opened and read to its end."""
    return ok("kit.opened", f"opened: {counted(len(opened.contents.files), 'file')}, each with its saved checksum")


def compare(opened: Opened, source: KitSource, *, now: datetime) -> list[Finding]:
    """Return how an opened kit and the files of the live site differ, by name, without their content."""
    if not source.keyring.keys:
        return [_keyless()]
    kept = {file.name: file.sha256 for file in opened.contents.files}
    gathered = _gather(source, now)
    live = {file.name: file.sha256 for file in gathered.contents.files}
    differing = sorted(name for name, _ in kept.items() ^ live.items())
    if opened.readme != gathered.files[README]:
        differing.append(README)
    if not differing:
        return [ok("kit.current", "the same as the site's files are now")]
    names = ", ".join(dict.fromkeys(printable(name) for name in differing))
    return [warning("kit.stale", f"not as they are now: {names}", "korrigo-backup kit make")]


def _saved(catalog: Catalog, source: KitSource, now: datetime, running: Running) -> SavedKit:
    gathered = _gather(source, now)
    newest = next(iter(known(catalog)), None)
    if newest and newest.record and newest.record.seal == gathered.seal and not damage(newest):
        return SavedKit(newest.path, new=False)
    return SavedKit(_publish(catalog, source, gathered, now, running), new=True)


def _keyless() -> Finding:
    """Return the finding for a machine without a key: reading must not make a key, which a restore would then miss."""
    return warning("kit.stale", "this machine has no signing key, so the kit is not that of a site here",
                   "put the key of the kit in place: README.md in it names the path")  # fmt: skip


def _publish(catalog: Catalog, source: KitSource, gathered: _Gathered, now: datetime, running: Running) -> Path:
    sealed = age.seal(pack(gathered.contents, gathered.files), source.recipients)
    digest = hashlib.sha256(sealed).hexdigest()
    record = KitRecord(
        site=gathered.contents.site,
        environment=gathered.contents.environment,
        created=gathered.contents.created,
        tool=gathered.contents.tool,
        size=len(sealed),
        sha256=digest,
        seal=gathered.seal,
        recipients=tuple(age.shown(recipient) for recipient in source.recipients),
        files=tuple(file.path for file in gathered.contents.files),
    )
    with explained("write the recovery kit"), catalog.draft_kit(now) as draft:
        write_private(draft.path(), sealed)
        if hashlib.sha256(read(draft.path(), LARGEST)).hexdigest() != digest:
            raise ProofFailed(f"{draft.name} does not read back as it was written", hint="check the disk (dmesg)")
        path = draft.publish_signed(msgspec.json.encode(record))
    running.bytes = len(sealed)
    running.listen(KitPublished())
    return path


def _gather(source: KitSource, now: datetime) -> _Gathered:
    key = source.keyring.signing()
    with explained("look for the files of the recovery kit"):
        paths, links = _places(source)
    contents_of = {name: read(path, LARGEST_FILE) for name, path in paths.items()}
    listed = tuple(_listed(name, path, contents_of[name]) for name, path in sorted(paths.items()))
    text = readme(source.facts, listed, links).encode()
    contents = Contents(
        site=source.facts.site,
        environment=source.facts.environment,
        host=socket.gethostname(),
        directory=str(source.directory),
        created=now.astimezone(UTC),
        tool=f"korrigo-backup {__version__}",
        files=listed,
        links=links,
    )
    return _Gathered(contents, {**contents_of, README: text}, seal(contents, text, source.recipients, key))


def _places(source: KitSource) -> tuple[dict[str, Path], tuple[KitLink, ...]]:
    """Return every file by its name in the kit, and the links that lead to any of them."""
    missing = [path for path in source.required if not (source.directory / path).exists()]
    if missing:
        raise NotFound(
            f"the recovery kit needs {missing[0]}, which does not exist",
            hint="run it from the site's project directory, or correct [compose] files or [kit] files",
        )
    _require_text(str(source.directory))
    wanted = [Path(os.path.normpath(source.directory / path)) for path in (*source.required, *source.usual)]
    present = [path for path in dict.fromkeys(wanted) if path.exists()]
    files = {path for path in present if not (path.is_symlink() and path.resolve() in present)}
    links = [KitLink(_belongs(source, path), _belongs(source, path.resolve())) for path in present if path not in files]
    return {KEY: source.keyring.path, **{_named(source, path): path for path in files}}, tuple(links)


def _belongs(source: KitSource, path: Path) -> str:
    inside = path.is_relative_to(source.directory)
    shown = str(path.relative_to(source.directory) if inside else path)
    _require_text(shown)
    return shown


def _require_text(path: str) -> None:
    if not path.isprintable():
        raise UsageError(f"{printable(path)} cannot be put into a kit", hint="give it a name of UTF-8 text")


def _named(source: KitSource, path: Path) -> str:
    belongs = _belongs(source, path)
    return f"{ELSEWHERE}{belongs[1:]}" if belongs.startswith("/") else f"{PROJECT}{belongs}"


def _listed(name: str, path: Path, content: bytes) -> KitFile:
    belongs = name.removeprefix(PROJECT) if name.startswith(PROJECT) else str(path.absolute())
    mode = 0o600 if name == KEY else stat.S_IMODE(path.stat().st_mode) & 0o777
    return KitFile(name, belongs, mode, len(content), hashlib.sha256(content).hexdigest())
