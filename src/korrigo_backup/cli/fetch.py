"""`korrigo-backup fetch`: bring a backup back from a target into the backup directory."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.cli.output import CommandContext, narrator, say, say_json
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.program.dry_run import DryRun, say_unchanged
from korrigo_backup.cli.program.names import say_passed_over
from korrigo_backup.cli.program.standard_input import read_bytes, read_hidden
from korrigo_backup.core.size import human
from korrigo_backup.run.step import CopyStep, silent
from korrigo_backup.system import screen
from korrigo_backup.system.files import explained, read_plain

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.targets.read_back import TargetReader

_LARGEST_IDENTITY = 64 * 1024
"""Bytes; an RSA key is a few thousand."""


def command(
    context: typer.Context,
    target: Annotated[str, typer.Argument(help="The name of the target: [targets.NAME].")],
    artifact: Annotated[str, typer.Argument(help="A name there, as restore takes it here.")] = "latest",
    identity: Annotated[
        str | None, typer.Option(help="For a sealed copy, the private key: an age identity or OpenSSH file, or -.")
    ] = None,
    site: Annotated[str | None, typer.Option(help="One of the sites on the target.")] = None,
    allow_unsigned: Annotated[
        bool, typer.Option("--allow-unsigned", help="Take a copy whose receipt no key here proves.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Fetch a backup, with its components, from a target into BACKUP_DIR: whole and verified, or not at all.

    Then restore it as any other: korrigo-backup restore NAME.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    reading = reader(wired, target, identity, site)
    if dry_run:
        _say_plan(reading, artifact)
        return
    path = fetched(reading, artifact, quiet=as_json, allow_unsigned=allow_unsigned)
    if as_json:
        say_json("fetch", {"path": str(path.absolute()), "target": target})
    else:
        say(f"✅ {path}")
        say(f"   to restore it: korrigo-backup restore {path.name}")


def _say_plan(reading: TargetReader, artifact: str) -> None:
    """Print the artifacts that would be fetched, with their size on the target."""
    from korrigo_backup.targets.fetch import wanted  # noqa: PLC0415 - see reader
    from korrigo_backup.targets.read_back import copies  # noqa: PLC0415

    names = wanted(reading, artifact, passed=say_passed_over)
    sizes = {one.name: one.size for one in copies(reading.catalog, reading.destination, reading.site)}
    for name in names:
        is_here = (reading.catalog.directory / name).exists()
        say(f"{name} would be {'compared with' if is_here else 'fetched from'} the target, {human(sizes.get(name, 0))}")
    add_to_document(plan=names)
    say_unchanged()


def fetched(reading: TargetReader, artifact: str, *, quiet: bool, allow_unsigned: bool) -> Path:
    """Fetch an artifact under the lock of the site and return its path."""
    from korrigo_backup.targets.fetch import fetch  # noqa: PLC0415 - see reader

    with reading.catalog.exclusive("fetch"):
        listen = silent if quiet else narrator(CopyStep)
        return fetch(reading, artifact, passed=say_passed_over, listen=listen, allow_unsigned=allow_unsigned)


def reader(
    wired: Wired, target: str, identity: str | None, site: str | None, *, into: Catalog | None = None
) -> TargetReader:
    """Return the reader of a target for the verbs that read from it; what it fetches goes `into` another catalog."""
    from korrigo_backup.app.build_targets import destination  # noqa: PLC0415 - not to be loaded by all
    from korrigo_backup.targets.items import own_site  # noqa: PLC0415
    from korrigo_backup.targets.read_back import TargetReader, require_one_site  # noqa: PLC0415

    place = destination(wired, target)
    found = require_one_site(place, site, own_site(wired.catalog))
    key = wired.keyring.keys[0] if wired.keyring.keys else None
    return TargetReader(into or wired.catalog, place, found, private_key(identity) if identity else None, key)


def private_key(identity: str) -> bytes:
    """Return the content of a file with a private key; `-` reads it here, without showing it."""
    if identity == "-" and sys.stdin.isatty():
        with screen.above():
            return read_hidden("Private key (AGE-SECRET-KEY-1…; it is not shown): ").encode()
    if identity == "-":
        return read_bytes(_LARGEST_IDENTITY)
    path = Path(identity).expanduser()
    with explained(f"read the private key {path}"):
        return read_plain(path, _LARGEST_IDENTITY)
