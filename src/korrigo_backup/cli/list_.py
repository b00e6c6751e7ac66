"""`korrigo-backup list`: the backups there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.history import suspects
from korrigo_backup.artifact.kinds import KINDS, Kind
from korrigo_backup.artifact.naming import parse
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.cli.output import CommandContext, say, say_json, say_table
from korrigo_backup.cli.printed.undoable import say_undoable
from korrigo_backup.core.counted import counted
from korrigo_backup.core.size import human
from korrigo_backup.recovery.undoable import undoable, undoable_in_replaced_data
from korrigo_backup.run.journal import read

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from korrigo_backup.app.build import Wired
    from korrigo_backup.artifact.artifact import Artifact, Stranger
    from korrigo_backup.targets.read_back import RemoteCopy

_SHOWN = 10
"""Strangers that are named."""


def command(
    context: typer.Context,
    kind: Annotated[Kind | None, typer.Option(help="Only this kind.")] = None,
    on: Annotated[str | None, typer.Option(metavar="TARGET", help="The copies on this target.")] = None,
    site: Annotated[str | None, typer.Option(help="--on: one of the sites on the target.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """List the backups, newest first. A backup without a manifest can be restored, but not proven."""
    wired: Wired = context.ensure_object(CommandContext).wired()
    if on is not None:
        _list_copies(wired, on, site, kind, as_json=as_json)
        return
    survey = wired.catalog.survey()
    found = [a for a in survey.artifacts if kind is None or a.kind is kind]
    undo = undoable(wired.catalog.directory, wired.config.site.name)
    replaced = undoable_in_replaced_data(wired.catalog.directory, wired.config.site.name)
    if as_json:
        strangers = [{"name": stranger.name, "why": stranger.why} for stranger in survey.strangers]
        items = [summary(artifact) for artifact in found]
        undos = {"undoable": undo, "undoable_in_replaced_data": replaced}
        say_json("list", {"items": items, "strangers": strangers, **undos})
        return
    if not found:
        say(f"no backups in {wired.config.backup.dir}; make a backup: korrigo-backup backup")
    else:
        bad = suspects(read(wired.catalog.directory), survey.artifacts)
        rows = [_row(artifact, bad.get(artifact.name)) for artifact in found]
        say_table(("NAME", "CREATED", "SIZE", "CONTENT", "PROOF"), rows, data={"NAME"})
        for artifact in found:
            if why := bad.get(artifact.name):
                say(f"⚠️ {artifact.name} {why}")
    if (undo or replaced) and kind is None:
        say("")
        say_undoable(undo, replaced)
    if survey.strangers and kind is None:
        say_strangers(survey.strangers)


def _list_copies(wired: Wired, on: str, site: str | None, kind: Kind | None, *, as_json: bool) -> None:
    from korrigo_backup.cli.fetch import reader  # noqa: PLC0415 - only this option needs them
    from korrigo_backup.targets.read_back import copies  # noqa: PLC0415

    reading = reader(wired, on, None, site)
    found = [one for one in copies(wired.catalog, reading.destination, reading.site) if _is_kind(one.name, kind)]
    if as_json:
        say_json("list-on", {"target": on, "site": reading.site, "items": found})
        return
    if not found:
        say(f"no copies on {on} ({reading.destination.target.place}); make some: korrigo-backup copy")
        return
    rows = [(one.name, human(one.size), "sealed" if one.sealed else "plain", _day(one.sent), _day(one.read),
             _state(one)) for one in found]  # fmt: skip
    say_table(("NAME", "SIZE", "FORM", "COPIED", "READ BACK", "STATE"), rows, data={"NAME"})


def _state(copy: RemoteCopy) -> str:
    if copy.missing:
        return "incomplete"
    if copy.hidden:
        return f"deleted by somebody, {len(copy.hidden)} versions are there"
    return f"whole, locked until {copy.locked_until.astimezone():%Y-%m-%d}" if copy.locked_until else "whole"


def _is_kind(name: str, kind: Kind | None) -> bool:
    parsed = parse(name)
    return kind is None or (parsed is not None and parsed.kind is kind)


def _day(moment: datetime | None) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}" if moment else "never"


def say_strangers(strangers: Sequence[Stranger]) -> None:
    """Print the entries of the directory that are no backups: this program never touches them."""
    say("")
    for stranger in strangers[:_SHOWN]:
        say(f"not ours: {stranger.name} ({stranger.why})")
    if len(strangers) > _SHOWN:
        say(f"not ours: {len(strangers) - _SHOWN} more (--json names them all)")


def summary(artifact: Artifact) -> dict[str, object]:
    """Return the fields of an artifact for `--json`; paths absolute."""
    return {
        "name": artifact.name,
        "path": str(artifact.path.absolute()),
        "kind": artifact.kind,
        "origin": artifact.origin,
        "created": artifact.created,
        "size": artifact.size,
        "proof": proof(artifact),
        "problem": artifact.problem,
        "ours": artifact.ours,
    }


def proof(artifact: Artifact) -> str:
    """Return in a word the proof that the manifest allows: rows, counts, files, or none."""
    head = artifact.header
    if artifact.problem:
        return "broken"
    if artifact.authenticity in {Authenticity.UNKNOWN_KEY, Authenticity.FORGED}:
        return str(artifact.authenticity)
    if head is None or head.format == 0:
        return "none"
    if head.consistency:
        return "point"
    if head.rows is None:
        return "files"
    return "rows" if head.digests else "counts"


def content(artifact: Artifact) -> str:
    """Return the content in a few words."""
    head, parts = artifact.header, []
    if head and head.rows is not None:
        parts.append(f"{head.rows} {KINDS[artifact.kind].row_word}")
    if head and head.files is not None:
        parts.append(f"{counted(head.files, 'file')}")
    if head and head.consistency:
        found = head.consistency
        parts.append(f"{head.database_backup} + media, {found.missing} of {found.references} files missing")
    return ", ".join(parts) or "?"


def _row(artifact: Artifact, bad: str | None) -> tuple[str, str, str, str, str]:
    created = f"{artifact.created.astimezone():%Y-%m-%d %H:%M:%S}"
    return artifact.name, created, human(artifact.size), content(artifact), _worth(artifact, bad)


def _worth(artifact: Artifact, bad: str | None) -> str:
    if not artifact.ours:
        return "other site"
    return "bad" if bad else proof(artifact)
