"""`korrigo-backup verify`: read every byte of a backup and hold it against its manifest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.cli.fetch import reader
from korrigo_backup.cli.output import CommandContext, say, say_findings, say_json
from korrigo_backup.cli.program.names import ARTIFACT, find_artifact, say_passed_over
from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Level, error, first_error, refuse_on_error
from korrigo_backup.drill.verify import VerifyOptions, verified
from korrigo_backup.errors import KorrigoBackupError, NotFound, PartlyDone, ProofFailed
from korrigo_backup.verify.verify import Depth

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from korrigo_backup.app.build import Wired
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.targets.read_back import TargetReader


ALL = "all"


def command(
    context: typer.Context,
    artifact: Annotated[str, typer.Argument(help=f"{ARTIFACT} Or all.")] = "latest",
    depth: Annotated[
        Depth,
        typer.Option(
            help="structure: every bit as saved; content: read to its end; full: loaded as a throw-away copy, too."
        ),
    ] = Depth.CONTENT,
    on: Annotated[str | None, typer.Option(metavar="TARGET", help="Read the copy on this target back.")] = None,
    identity: Annotated[str | None, typer.Option(help="--on: a private key that opens it: a file, or -.")] = None,
    site: Annotated[str | None, typer.Option(help="--on: one of the sites on the target.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Verify a backup: existence, integrity, checksums, completeness, size, age, mode. Exit 9 when it is bad.

    Every depth reads every byte, so that a single changed bit is found. With `--depth full` the backup is loaded into a
    database and a directory of its own next to the live data, proven row by row and file by file, and removed.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    if on is not None:
        _verify_copies(reader(wired, on, identity, site), artifact, as_json=as_json)
        return
    if artifact == ALL:
        _verify_all(wired, depth, as_json=as_json)
        return
    found = find_artifact(wired, artifact)
    findings = _verified(wired, found, depth)
    bad = first_error(findings)
    if as_json:
        say_json("verify", _document(found.path, findings))
    else:
        say_findings(finding for finding in findings if finding is not bad)
    refuse_on_error(findings, ProofFailed, subject=str(found.path))
    if not as_json:
        say(f"✅ Backup validation passed: {artifact if artifact != 'latest' else found.path}")


def _verify_copies(reading: TargetReader, artifact: str, *, as_json: bool) -> None:
    """Read copies back from a target; exit 9 if any is bad there, 3 if somebody can harm or has harmed good ones."""
    from korrigo_backup.targets.read_back import artifacts_on, components_on  # noqa: PLC0415 - only this option
    from korrigo_backup.targets.verify_copy import verify as read_back  # noqa: PLC0415

    meant = artifacts_on(reading, artifact, passed=say_passed_over)
    names = list(dict.fromkeys(name for one in meant for name in (*components_on(reading, one), one)))
    bad, documents = [], []
    losses: list[Finding] = []
    for name in names:
        findings = read_back(reading, name)
        documents.append({"name": name, "passed": first_error(findings) is None, "findings": findings})
        if not as_json:
            say_findings(findings)
        if found := first_error(findings):
            bad.append((name, found))
        losses += [finding for finding in findings if finding.level is Level.LOSS]
    if as_json:
        say_json("verify-on", {"target": reading.destination.name, "items": documents})
    if bad:
        raise ProofFailed(
            f"{len(bad)} of {len(names)} copies on {reading.destination.name} are not good:"
            f" {first_of([name for name, _ in bad], 5)}: {bad[0][1].message}",
            hint=bad[0][1].hint,
        )
    if losses:
        raise PartlyDone(
            f"{losses[0].message}; the copies are good",
            hint=losses[0].hint,
            state="no copy was changed",
        )
    if not as_json:
        say(f"✅ {len(names)} {'copy' if len(names) == 1 else 'copies'} read back from {reading.destination.name}")


def _verify_all(wired: Wired, depth: Depth, *, as_json: bool) -> None:
    results = []
    for path, findings in _each(wired, depth):
        results.append((path, findings))
        if not as_json:
            bad = first_error(findings)
            say(f"{'❌' if bad else '✅'} {path.name}{f': {bad.message}' if bad else ''}")
    if as_json:
        say_json("verify-all", {"items": [_document(*result) for result in results]})
    if not results:
        raise NotFound(
            f"there is no backup in {wired.catalog.directory} to verify",
            hint="check BACKUP_DIR (is the disk mounted?), or make a backup: korrigo-backup backup",
        )
    bad_ones = [(path, bad) for path, findings in results if (bad := first_error(findings))]
    if bad_ones:
        path, bad = bad_ones[0]
        raise ProofFailed(
            f"{len(bad_ones)} of {len(results)} backups are not good: {first_of([one.name for one, _ in bad_ones], 5)}",
            hint=bad.hint or f"korrigo-backup verify {path.name}",
        )
    if not as_json:
        say(f"✅ {counted(len(results), 'backup')} verified ({depth})")


def _each(wired: Wired, depth: Depth) -> Iterator[tuple[Path, list[Finding]]]:
    """Yield every backup, and every entry named like a backup, with its findings.

    A bad entry must not hide the others.
    """
    catalog = wired.catalog
    survey = catalog.survey()
    for glanced in survey.artifacts:
        try:
            found = catalog.find(str(glanced.path))  # read again: a list does not check every bit of a manifest
            yield found.path, _verified(wired, found, depth)
        except KorrigoBackupError as problem:
            if not os.path.lexists(glanced.path):
                continue  # it was removed meanwhile
            if depth is Depth.FULL:
                raise  # a word about the site, which would be the same for the next backup
            yield glanced.path, [error("artifact.unread", problem.message, problem.hint)]
    for stranger in survey.strangers:
        if stranger.ours:
            hint = f"look at it: ls -la {catalog.directory}"
            yield catalog.directory / stranger.name, [error("artifact.unread", stranger.why, hint)]


def _verified(wired: Wired, found: Artifact, depth: Depth) -> list[Finding]:
    site = wired.site if depth is Depth.FULL else None
    request = VerifyOptions(found, depth, local_now(), wired.config.site.name, wired.secrets, site)
    return verified(wired.catalog, request)


def _document(path: Path, findings: list[Finding]) -> dict[str, object]:
    return {"path": str(path), "passed": first_error(findings) is None, "findings": findings}
