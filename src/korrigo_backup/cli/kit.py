"""`korrigo-backup kit`: the recovery kit, the files that a bare server needs besides the backups.

It is one encrypted file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.cli.fetch import private_key
from korrigo_backup.cli.output import CommandContext, say, say_findings, say_json
from korrigo_backup.cli.program.commands import Actions
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.program.dry_run import DryRun, say_unchanged
from korrigo_backup.core.counted import counted
from korrigo_backup.core.finding import first_error, refuse_on_error, warning
from korrigo_backup.core.paths import printable
from korrigo_backup.core.size import human
from korrigo_backup.errors import ProofFailed, UsageError
from korrigo_backup.kit import files as kits
from korrigo_backup.kit import kit as kit_operation
from korrigo_backup.kit.files import Kit
from korrigo_backup.kit.model import README
from korrigo_backup.setup.preflight import guarded

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.core.finding import Finding

_UNKNOWN = warning("kit.stale", "")


_FILE = typer.Argument(help="A kit: a path or a name in BACKUP_DIR; the newest.")
_IDENTITY = typer.Option(help="The private key: an age identity file, an OpenSSH key, or - to read it here.")


def make(context: typer.Context, dry_run: DryRun = False) -> None:
    """Save the files, if they have changed since the newest kit."""
    if dry_run:
        wired = context.ensure_object(CommandContext).wired()
        findings = kit_operation.state(wired.catalog, wired.kit_source(), now=local_now())
        add_to_document(findings=findings)
        say_findings(findings)
        say_unchanged()
        return
    _make(context.ensure_object(CommandContext).wired())


def show(
    context: typer.Context,
    file: Annotated[str | None, _FILE] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """List the content of a kit, and the changes since."""
    _show(context.ensure_object(CommandContext).wired(), file, as_json=as_json)


def verify(
    context: typer.Context,
    file: Annotated[str | None, _FILE] = None,
    identity: Annotated[str | None, _IDENTITY] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Check that a kit is whole; with --identity open it and compare."""
    _verify(context.ensure_object(CommandContext).wired(), file, identity, as_json=as_json)


def open_(
    context: typer.Context,
    file: Annotated[str | None, _FILE] = None,
    identity: Annotated[str | None, _IDENTITY] = None,
    to: Annotated[Path | None, typer.Option(help="The directory to write to; new or empty.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Write the files out, on a bare server; README.md among them has the commands."""
    _open(context.ensure_object(CommandContext), file, identity, to, dry_run=dry_run)


ACTIONS = Actions(
    {"make": make, "show": show, "verify": verify, "open": open_},
    help="""Save .env, the Compose files, korrigo-backup.toml and the signing key, encrypted, and open that again.

    They are the recovery kit: the files that a bare server needs besides the backups.
    """,
)


def _make(wired: Wired) -> None:
    source = wired.kit_source()
    saved = kit_operation.save(wired.catalog, source, now=local_now())
    kit = kits.find(wired.catalog, str(saved.path))
    add_to_document(path=str(saved.path), new=saved.new, record=kit.record)
    if not saved.new:
        say(f"✅ No change since {saved.path}")
    elif kit.record:
        say(f"✅ Recovery kit saved: {saved.path} ({human(kit.record.size)})")
        _say_content(kit)
    say_findings(_outside(source.facts.outside))
    if saved.new:
        say("   keep a copy off this machine; the private key, too, and never here")
        say(f"   to open it: korrigo-backup kit open FILE --identity KEY --to DIRECTORY, then {README}")
        say("   or without this program: mkdir -m 700 kit && age --decrypt -i KEY FILE | tar -x -C kit")


def _outside(names: tuple[str, ...]) -> list[Finding]:
    if not names:
        return []
    return [warning("kit.outside", f"not in the kit, set in the environment and not in a file: {', '.join(names)}",
                    "put them into .env")]  # fmt: skip


def _say_content(kit: Kit) -> None:
    if kit.record is None:
        return
    for path in kit.record.files:
        say(f"  holds     {printable(path)}")
    for recipient in kit.record.recipients:
        say(f"  opens to  {printable(recipient)}")


def _show(wired: Wired, file: str | None, *, as_json: bool) -> None:
    kit = kits.find(wired.catalog, file)
    findings = [*kits.check(kit), *_changes(wired, kit)]
    if as_json:
        say_json("kit", {"path": str(kit.path), "record": kit.record, "findings": findings})
        return
    say(f"{kit.path}")
    if kit.record:
        say(f"  created   {kit.record.created.astimezone():%Y-%m-%d %H:%M:%S %Z}, by {kit.record.tool}")
        say(f"  site      {kit.record.site} {kit.record.environment}")
    _say_content(kit)
    say_findings(findings)


def _changes(wired: Wired, kit: Kit) -> list[Finding]:
    """Return whether the kit is as the site is; that the site's files are not here does not keep it from being read."""
    return guarded(_UNKNOWN, lambda: [kit_operation.changes(kit, wired.kit_source(), now=local_now())])


def _verify(wired: Wired, file: str | None, identity: str | None, *, as_json: bool) -> None:
    kit = kits.find(wired.catalog, file)
    findings = kits.check(kit)
    if identity is None:
        findings += _changes(wired, kit)
    elif not first_error(findings):
        opened = kits.open_kit(kit.path, private_key(identity))
        findings.append(kit_operation.opened_well(opened))
        findings += guarded(_UNKNOWN, lambda: kit_operation.compare(opened, wired.kit_source(), now=local_now()))
    bad = first_error(findings)
    if as_json:
        say_json("kit", {"path": str(kit.path), "record": kit.record, "findings": findings})
    else:
        say_findings(finding for finding in findings if finding is not bad)
    refuse_on_error(findings, ProofFailed, subject=str(kit.path))


def _open(shared: CommandContext, file: str | None, identity: str | None, to: Path | None, *, dry_run: bool) -> None:
    if identity is None or to is None:
        raise UsageError(
            "kit open needs a private key and a directory",
            hint="korrigo-backup kit open FILE --identity KEY --to DIRECTORY",
        )
    here = Path(file) if file and Path(file).exists() else kits.find(shared.wired().catalog, file).path
    opened = kits.open_kit(here, private_key(identity))  # a bare server has no configuration, and needs none for this
    files = [one.name for one in opened.contents.files]
    if dry_run:
        add_to_document(path=str(to.absolute()), files=files)
        for name in files:
            say(f"{printable(name)} would be written to {to}")
        say_unchanged()
        return
    kits.write_out(opened, to)
    add_to_document(path=str(to.absolute()), files=files)
    say(f"✅ {counted(len(files), 'file')} written to {to}, made {opened.contents.created:%Y-%m-%d %H:%M} UTC"
        f" on {printable(opened.contents.host)}")  # fmt: skip
    say(f"   read on in {to / README}; delete the directory when the site is back: its files are secrets")
