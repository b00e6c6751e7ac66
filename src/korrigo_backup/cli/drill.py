"""`korrigo-backup drill`: restore a backup into a throw-away place, prove it there, and measure how long that takes."""

from __future__ import annotations

import secrets
from contextlib import suppress
from functools import partial
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.app.build_places import places
from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.artifact.naming import parse
from korrigo_backup.cli.announcing import announcer
from korrigo_backup.cli.fetch import reader
from korrigo_backup.cli.output import CommandContext, narrator, say, say_data, say_findings, say_json
from korrigo_backup.cli.program.durations import seconds
from korrigo_backup.cli.program.names import ARTIFACT, find_artifact, say_passed_over
from korrigo_backup.cli.rescue.anonymised import SUGGEST, AnonymiseOptions, document, say_copy
from korrigo_backup.cli.status.publish import shown
from korrigo_backup.core.counted import counted
from korrigo_backup.core.finding import Level
from korrigo_backup.drill.choose import NO_MEDIA, newest_loadable
from korrigo_backup.drill.run import DrillLevel, DrillOptions, run_drill
from korrigo_backup.errors import NotFound, PartlyDone, UsageError
from korrigo_backup.notify.run import announced
from korrigo_backup.places.place import PlaceName
from korrigo_backup.postgres.difference import Acceptance
from korrigo_backup.restore.unsearched import NOT_APPLICABLE
from korrigo_backup.run.journal import SiteName
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import (
    AwaitingLock,
    CopyStep,
    DatabaseProven,
    DrillStep,
    MediaProven,
    Proving,
    VerifyingArtifact,
    silent,
)

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.drill.run import DrillReport
    from korrigo_backup.targets.read_back import TargetReader


_SEEDS = 1_000_000


def command(
    context: typer.Context,
    artifact: Annotated[str, typer.Argument(help=f"{ARTIFACT} Default: the newest.")] = "",
    place: Annotated[
        PlaceName | None,
        typer.Option(
            help="beside (default), local (a server here), staging ([staging]), compose (with the application)."
        ),
    ] = None,
    target: Annotated[str | None, typer.Option("--from", metavar="TARGET", help="Drill the copy on a target.")] = None,
    identity: Annotated[str | None, typer.Option(help="--from: a private key that opens it: a file, or -.")] = None,
    level: Annotated[
        DrillLevel,
        typer.Option(help="restore; disaster: a private stack is lost and recovered; incident: damages must be found."),
    ] = DrillLevel.RESTORE,
    with_media: Annotated[
        bool, typer.Option("--with-media", help="Drill the newest restore point, if it is of the last week.")
    ] = False,
    anonymise: Annotated[
        str | None,
        typer.Option(metavar="RULES", help="Anonymise the copy: a file of rules, or django; suggest: print a file."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="--anonymise: keep the database on its server.")] = False,
    to: Annotated[
        Path | None, typer.Option(metavar="DIRECTORY", help="--anonymise: write a dump and the files there.")
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID", help="A copy that stays: go on although it may hold erased rows (erasure.not_applicable)."
        ),
    ] = None,
    wait: Annotated[
        str, typer.Option(metavar="DURATION", help="How long to wait for another run: 90s, 30m, 2h.")
    ] = "0s",
    seed: Annotated[int | None, typer.Option(min=0, help="--level incident: repeat the run of this number.")] = None,
    notify: Annotated[
        bool | None, typer.Option(help="Notify the channels of [notify]; default: when no user is at the terminal.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Restore a backup into a throw-away place, prove it, remove it, and measure the time. The site serves on.

    Exit 0: passed. Exit 9: failed, the backup is bad. Exit 4, 7 or 8: an error of the place, which says nothing about
    the backup.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    if anonymise == SUGGEST:
        _suggest(wired)
        return
    if level is DrillLevel.INCIDENT:
        if target or place is not None or with_media or seconds(wait) or anonymise:
            others = "--from, --place, --with-media, --anonymise and --wait"
            raise UsageError(f"--level incident goes without {others}", hint="korrigo-backup drill --help")
        _simulate(wired, artifact, seed, notify, as_json=as_json)
        return
    _require_fitting(artifact, seed, with_media=with_media)
    place, copy = _place(place, level), AnonymiseOptions(anonymise, keep, to)
    copy.require_fitting(place)
    beside = anonymise is not None and place is PlaceName.BESIDE
    fetch = partial(_fetched, wired, target, identity, artifact, quiet=as_json) if target else None
    steps = narrator(DrillStep, CopyStep, AwaitingLock, VerifyingArtifact, Proving, DatabaseProven, MediaProven)
    listen = silent if as_json else steps
    options = DrillOptions(
        artifact=artifact,
        place=place,
        level=level,
        directory=wired.catalog.directory,
        places=partial(copy.beside, wired) if beside else partial(places, wired, place, listen=listen),
        copying=copy.copying(wired.site()) if anonymise is not None else None,
        now=local_now(),
        site=SiteName(wired.config.site.name, wired.secrets),
        target=target or "",
        fetch=fetch,
        with_media=with_media,
        accept=_accepted(accept),
        wait=seconds(wait),
        listen=listen,
    )
    announcing = announced(announcer(wired, notify), wired.catalog.directory, "drill", "", say=say_findings)
    with announcing as telling, shown(wired):
        report = run_drill(wired.site(), wired.catalog, options)
        _report(report, as_json=as_json)
        telling.facts |= {"backup": report.artifact.name, "recovery time": _seconds(report.recovery)}
        if lacking := next((one for one in report.findings if one.id == NO_MEDIA), None):
            state = f"the database of {report.artifact.name} is proven"
            raise PartlyDone(lacking.message, hint=lacking.hint, state=state, id_=NO_MEDIA)


def _report(report: DrillReport, *, as_json: bool) -> None:
    """Print the result. Raises its problem."""
    if as_json:
        say_json("drill", _document(report))
    else:
        say_findings(one for one in report.findings if one.level is not Level.ERROR)
    if report.problem:
        raise report.problem
    if not as_json:
        _say_passed(report)
        if report.copy:
            say_copy(report.copy)


def _place(place: PlaceName | None, level: DrillLevel) -> PlaceName:
    """Return the place of a drill; UsageError for a disaster in a place that has no stack to destroy."""
    if level is DrillLevel.RESTORE:
        return place or PlaceName.BESIDE
    if place not in {None, PlaceName.COMPOSE}:
        raise UsageError(
            f"a disaster drill destroys a whole stack, which --place {place} has not", hint="use --place compose"
        )
    return PlaceName.COMPOSE


def _accepted(names: list[str] | None) -> Acceptance:
    """Return the findings at which the drill goes on; UsageError for another name."""
    if others := sorted({*(names or ())} - {NOT_APPLICABLE}):
        raise UsageError(
            f"--accept {others[0]}: a drill stops at no such finding", hint=f"a drill takes --accept {NOT_APPLICABLE}"
        )
    return Acceptance(frozenset(names or ()))


def _require_fitting(artifact: str, seed: int | None, *, with_media: bool) -> None:
    if seed is not None:
        raise UsageError("--seed goes with --level incident", hint="korrigo-backup drill --level incident --seed N")
    if artifact and with_media:
        raise UsageError("--with-media chooses the backup", hint=f"leave out {artifact}, or --with-media")


def _suggest(wired: Wired) -> None:
    from korrigo_backup.app.build_anonymiser import suggestion  # noqa: PLC0415 - only this use

    say_data(suggestion(wired.site()))


def _simulate(
    wired: Wired,
    artifact: str,
    seed: int | None,
    notify: bool | None,  # noqa: FBT001 - an option that may be left out
    *,
    as_json: bool,
) -> None:
    """Break copies of an artifact and report the score; exit 10 if a damage was not found."""
    from korrigo_backup.drill.incident import simulate  # noqa: PLC0415 - only this level

    catalog = wired.catalog
    chosen = secrets.randbelow(_SEEDS) if seed is None else seed
    if not as_json:
        say(f"🎲 Seed {chosen}: copies of a backup are damaged; the backup itself is only read")
    with announced(announcer(wired, notify), catalog.directory, Verb.INCIDENT, "", say=say_findings) as telling:
        report = simulate(
            catalog,
            lambda: find_artifact(wired, artifact) if artifact else newest_loadable(catalog),
            SiteName(wired.config.site.name, wired.secrets),
            key_file=wired.keyring.path,
            seed=chosen,
            now=local_now(),
            listen=silent if as_json else narrator(DrillStep),
        )
        telling.facts |= {"backup": report.artifact.name, "score": f"{report.found} of {len(report.attempts)}"}
    if as_json:
        say_json("incident", {"artifact": str(report.artifact.path), "seed": chosen, "found": report.found,
                              "tried": len(report.attempts), "attempts": report.attempts,
                              "left_out": report.left_out})  # fmt: skip
        return
    say(
        f"✅ Incident simulation passed: {report.found} of {counted(len(report.attempts), 'damage')} found"
        f" (seed {chosen})"
    )


def _say_passed(report: DrillReport) -> None:
    if report.tables is not None:
        say("✅ Restore successful:")
        say(f"   - Tables: {report.tables}")
    if report.users is not None:
        say(f"   - Users: {report.users}")
    parts = ", ".join(f"{name} {_seconds(seconds)}" for name, seconds in report.phases.items())
    say(f"⏱️  {parts}")
    say(f"✅ Drill passed: {report.artifact.name}; recovery time measured: {_seconds(report.recovery)}")


def _seconds(seconds: float | None) -> str:
    return "?" if seconds is None else f"{seconds:.1f} s"


def _document(report: DrillReport) -> dict[str, object]:
    return {
        "verdict": report.verdict,
        "artifact": str(report.artifact),
        "place": report.place,
        "phases": report.phases,
        "recovery": report.recovery,
        "tables": report.tables,
        "users": report.users,
        "findings": report.findings,
        "copy": document(report.copy),
        "message": report.problem.message if report.problem else "",
        "hint": report.problem.hint if report.problem else "",
    }


def _fetched(wired: Wired, target: str, identity: str | None, artifact: str, there: Catalog, *, quiet: bool) -> Path:
    """Fetch the copy of a target into the directory of `there` and return its path; the caller holds the lock."""
    from korrigo_backup.targets.fetch import fetch  # noqa: PLC0415 - only with --from

    reading = reader(wired, target, identity, None, into=there)
    return fetch(
        reading, artifact or _newest_on(reading), passed=say_passed_over, listen=silent if quiet else narrator(CopyStep)
    )


def _newest_on(reading: TargetReader) -> str:
    """Return the newest restore point or database backup on a target; raises NotFound if it has none."""
    from korrigo_backup.targets.read_back import artifacts_on  # noqa: PLC0415 - see above

    found = []
    for named in ("latest-point", "latest"):
        with suppress(NotFound):
            found += artifacts_on(reading, named, passed=say_passed_over)
    if not found:
        return "latest"
    stamps = {name: parsed.stamp for name in found if (parsed := parse(name))}
    return max(found, key=lambda name: stamps.get(name, ""))
