"""Recovery kits on disk: find, check from outside, open with a private key, write out on a bare server."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from korrigo_backup.artifact.naming import MANIFEST_SUFFIX
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.finding import Finding, error, ok, warning
from korrigo_backup.errors import KorrigoBackupError, NotFound, Refused, UsageError
from korrigo_backup.kit.archive import LARGEST, LARGEST_FILE, Opened, unpack
from korrigo_backup.kit.model import FORMAT, KitRecord
from korrigo_backup.system import age
from korrigo_backup.system.files import DIRECTORY_MODE, explained, open_plain, write_private

if TYPE_CHECKING:
    from korrigo_backup.artifact.catalog import Catalog


@dataclass(frozen=True)
class Kit:
    """A kit on disk. `record` is None if its record is missing or cannot be read."""

    path: Path
    record: KitRecord | None
    authenticity: Authenticity


def known(catalog: Catalog) -> list[Kit]:
    """Return the kits that there are, newest first by their records, those without a record by their names."""
    kits = [_kit(catalog, path) for path in catalog.kits()]
    return sorted(kits, key=lambda kit: (kit.record is not None, kit.record and kit.record.created, kit.path.name),
                  reverse=True)  # fmt: skip


def find(catalog: Catalog, named: str | None) -> Kit:
    """Return the kit of a path or of a name in the backup directory, by default the newest; NotFound without any."""
    if named is None:
        newest = next(iter(known(catalog)), None)
        if newest is None:
            raise NotFound(f"there is no recovery kit in {catalog.directory}", hint="korrigo-backup kit make")
        return newest
    with explained(f"look for {named[:200]!r}"):
        path = Path(named) if os.sep in named or Path(named).exists() else catalog.directory / named
        there = path.exists()
    if not there:
        raise NotFound(f"there is no recovery kit {named}", hint="korrigo-backup kit show names the newest")
    return _kit(catalog, path)


def check(kit: Kit) -> list[Finding]:
    """Return the findings about a kit without a private key: whether the file is unchanged, and its signature."""
    if wrong := damage(kit):
        return [error("kit.damaged", wrong, "make a new kit: korrigo-backup kit make")]
    if kit.record is None or kit.authenticity is not Authenticity.AUTHENTIC:
        return [warning("kit.unsigned", f"{kit.path.name} has the form of an age file; no record signed with this"
                        " site's key proves that it is unchanged", "open it: --identity FILE")]  # fmt: skip
    return [ok("kit.whole", f"{kit.path.name} is unchanged, {kit.record.size} bytes, SHA-256 as signed")]


def open_kit(path: Path, identity: bytes) -> Opened:
    """Return the content of a kit; raises as `age.unseal` and `formats.kit.unpack`."""
    return unpack(age.unseal(read(path, LARGEST), identity, path.name), path.name)


def write_out(opened: Opened, directory: Path) -> None:
    """Write every file of a kit below `directory`, which must be new or empty, for its owner alone."""
    with explained(f"write the kit to {directory}"):
        if directory.is_symlink() or (directory.exists() and (not directory.is_dir() or any(directory.iterdir()))):
            raise Refused(f"{directory} is not an empty directory", hint="name a new directory: --to DIRECTORY")
        _directory(directory)
        for name, content in opened.files.items():
            for parent in reversed(Path(name).parents[:-1]):
                _directory(directory / parent)
            write_private(directory / name, content)


def _directory(path: Path) -> None:
    path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    path.chmod(DIRECTORY_MODE)


def damage(kit: Kit) -> str | None:
    """Return the fault of the encrypted file, as far as it shows from outside."""
    try:
        sealed = read(kit.path, LARGEST)
        age.require_form(sealed, kit.path.name)
    except KorrigoBackupError as problem:
        return problem.message
    if kit.authenticity is Authenticity.FORGED:
        return f"the record of {kit.path.name} was altered"
    if kit.record and (len(sealed), hashlib.sha256(sealed).hexdigest()) != (kit.record.size, kit.record.sha256):
        return f"{kit.path.name} was changed after it was made: its SHA-256 differs"
    return None


def read(path: Path, most: int) -> bytes:
    """Return a whole file, also behind a link (a `.env` may be a link).

    Refused for a file that is too large or not regular.
    """
    with explained(f"read {path}"):
        try:
            with open_plain(path.resolve()) as raw, io.BufferedReader(cast("io.RawIOBase", raw)) as file:
                content = file.read(most + 1)
        except ValueError:
            raise UsageError(f"{path} is not a regular file", hint="name a file") from None
    if len(content) > most:
        raise Refused(f"{path} is larger than {most:,} bytes", hint="a recovery kit is for settings: name small files")
    return content


def _kit(catalog: Catalog, path: Path) -> Kit:
    beside = path.with_name(path.name + MANIFEST_SUFFIX)
    try:
        raw = read(beside, LARGEST_FILE)
        record = msgspec.json.decode(raw, type=KitRecord)
    except (KorrigoBackupError, msgspec.DecodeError, UnicodeDecodeError):
        return Kit(path, None, Authenticity.UNSIGNED)
    return Kit(path, record if record.format <= FORMAT else None, catalog.authenticity(raw))
