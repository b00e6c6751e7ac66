"""`korrigo-backup compare`: the differences between a saved state and the present state, down to the rows and files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.artifact.components import components
from korrigo_backup.artifact.kinds import KINDS, Kind
from korrigo_backup.artifact.naming import beside, parse
from korrigo_backup.cli.output import CommandContext, say, say_findings, say_json
from korrigo_backup.cli.printed.comparison import say_as_the_runbook, say_comparison
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.program.names import find_artifact
from korrigo_backup.compare.compare import (
    Present,
    compare_artifact,
    compare_database,
    compare_dumps,
    compare_state,
    save_state,
)
from korrigo_backup.compare.media import (
    compare_archive,
    compare_archives,
    compare_listing,
    compare_previous_copy,
    save_listing,
)
from korrigo_backup.core.counted import counted
from korrigo_backup.erasure.erased import ErasedPaths
from korrigo_backup.erasure.findings import erased_files_finding, erased_finding
from korrigo_backup.errors import NotFound, ProofFailed, UsageError
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.run import journal
from korrigo_backup.run.record import erased_by, erased_files_by
from korrigo_backup.site.erasures import LedgerFiles

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.compare.differences import Comparison

BEFORE = "before"
"""The name for the previous copy of the newest restore."""

STATE, LISTING = ".json", ".sha256"
"""Endings that distinguish a file written by `--save` from a backup."""


def command(
    context: typer.Context,
    saved: Annotated[
        str,
        typer.Argument(
            metavar="SAVED",
            help="A backup (path, name in BACKUP_DIR, latest), before (the data that the newest restore replaced),"
            " or a file that --save wrote.",
        ),
    ] = "latest",
    later: Annotated[
        str | None, typer.Argument(metavar="LATER", help="A later backup to compare with, not the live site.")
    ] = None,
    database: Annotated[str | None, typer.Option(help="Compare with this database, not the live one.")] = None,
    with_database: Annotated[
        str | None, typer.Option("--with-database", help="Take this database of the same server as the saved state.")
    ] = None,
    table: Annotated[list[str] | None, typer.Option("--table", "-T", help="Only this table; may be repeated.")] = None,
    rows: Annotated[int, typer.Option(min=0, help="How many rows or files of each kind to name.")] = 5,
    media: Annotated[bool, typer.Option("--media", help="The uploaded files; with before and --save.")] = False,
    save: Annotated[Path | None, typer.Option(help="Write the present state to this new file, and stop.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Compare a saved state with the present state, or two backups: which tables, rows and files differ.

    Exit 9 when any does. Of a restore point the database and the media are compared.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    present = Present(wired.site(), database, tuple(table or ()), rows)
    if later and (save or database or with_database or media):
        raise UsageError(
            "two backups are compared without --save, --database, --with-database and --media",
            hint="korrigo-backup compare FIRST LATER",
        )
    if save:
        _save(present, save, media=media)
        return
    if later:
        comparison = _compare_backups(wired, present, saved, later)
    else:
        comparison = _compare(wired, present, saved, with_database, media=media)
    if as_json:
        say_json("compare", comparison)
    else:
        say_comparison(comparison)
        if _is_state(saved):
            say_as_the_runbook(comparison, Path(saved))
        elif not later:
            _say_erased(wired, comparison)
    if comparison.differences:
        raise ProofFailed(
            f"{comparison.now} differs from {comparison.saved}: {', '.join(comparison.differences)}",
            hint="a site that was used since differs; korrigo-backup plan shows the effect of a restore",
            id_="",
        )


def _say_erased(wired: Wired, comparison: Comparison) -> None:
    """Print which of the missing rows the newest restore has taken out, since they were erased on request."""
    if rows := erased_by(journal.read(wired.catalog.directory), {comparison.saved}):
        say_findings([erased_finding(rows)])
    if comparison.files and comparison.files.erased:
        say_findings([erased_files_finding(comparison.files.erased)])


def _save(present: Present, file: Path, *, media: bool) -> None:
    ending = LISTING if media else STATE
    if not file.name.endswith(ending):
        raise UsageError(
            f"{file} does not end in {ending}",
            hint="give the file that ending: compare recognises the kind of a file by it",
        )
    if media:
        count = save_listing(present.site, file)
        add_to_document(file=str(file.absolute()), files=count)
        say(f"✅ Checksums of {counted(count, 'file')} saved: {file}")
    else:
        state = save_state(present, file, now=local_now())
        proof = state.database
        add_to_document(file=str(file.absolute()), tables=len(proof.tables), rows=proof.rows)
        say(
            f"✅ State of {proof.name} saved: {file}"
            f" ({counted(len(proof.tables), 'table')}, {counted(proof.rows, 'row')})"
        )


def _compare(wired: Wired, present: Present, saved: str, with_database: str | None, *, media: bool) -> Comparison:
    if with_database:
        return compare_database(present, with_database)
    if media or saved.endswith(LISTING):
        _refuse_tables(present)
    if saved == BEFORE:
        return _compare_before(present, media=media)
    if _is_state(saved):
        return compare_state(present, Path(saved))
    if saved.endswith(LISTING):
        return compare_listing(present.site, Path(saved), shown=present.shown)
    artifact = find_artifact(wired, saved, Kind.MEDIA if media else None)
    return _compare_artifact(present, _parts(wired, artifact))


@dataclass(frozen=True)
class _Parts:
    """The dump and the media backup that an artifact is or binds; either may be None."""

    name: str
    dump: Artifact | None
    media: Artifact | None
    erased: ErasedPaths
    """The files that the newest restore of it has erased on request."""


def _compare_artifact(present: Present, saved: _Parts) -> Comparison:
    files = None
    if saved.media and not present.database and not present.tables:
        erased = LedgerFiles(present.site, saved.media, saved.erased)
        files = compare_archive(present.site, saved.media, shown=present.shown, erased=erased)
    elif saved.dump is None:
        _refuse_tables(present)
    return _together(compare_artifact(present, saved.dump) if saved.dump else None, files, saved.name)


def _compare_backups(wired: Wired, present: Present, first: str, later: str) -> Comparison:
    """Compare two backups in all that both hold; UsageError if they have no part in common."""
    then, now = (_parts(wired, find_artifact(wired, name)) for name in (first, later))
    files = database = None
    if then.media and now.media and not present.tables:
        hidden = LedgerFiles(present.site, then.media, LedgerFiles(present.site, now.media))
        files = compare_archives(then.media, now.media, shown=present.shown, hidden=hidden)
    if then.dump and now.dump:
        database = compare_dumps(then.dump, now.dump, present.site, present.tables, present.shown)
    if not (files or database):
        raise UsageError(
            f"{then.name} and {now.name} have no part in common that can be compared",
            hint="compare two databases, two media backups or two restore points: korrigo-backup list",
        )
    return replace(_together(database, files, then.name), now=now.name)


def _together(database: Comparison | None, files: Comparison | None, saved: str) -> Comparison:
    """Return the comparison of an artifact from those of its parts; at least one part is there."""
    first, *others = filter(None, (database, files))
    return (
        replace(first, saved=saved, now=f"{first.now} and {others[0].now}", files=others[0].files) if others else first
    )


def _parts(wired: Wired, artifact: Artifact) -> _Parts:
    """Return the parts of an artifact; UsageError for a Django backup."""
    if KINDS[artifact.kind].loaded_by_django:
        raise _of_django(artifact)
    parts = components(wired.catalog, artifact) if KINDS[artifact.kind].components else (artifact,)
    dump = next((one for one in parts if KINDS[one.kind].is_dump), None)
    media = next((one for one in parts if KINDS[one.kind].has_files_alone), None)
    records = journal.read(wired.catalog.directory)
    return _Parts(
        artifact.name, dump, media, ErasedPaths(wired.keyring.keys, erased_files_by(records, {artifact.name}))
    )


def _is_state(saved: str) -> bool:
    """Return whether a name is that of a file written by `--save`; a restore point has the same ending."""
    return saved.endswith(STATE) and not parse(Path(saved).name)


def _of_django(artifact: Artifact) -> UsageError:
    return UsageError(
        f"{artifact.name} is a Django backup: compare reads SQL dumps and media archives",
        hint="python manage.py restore … --dry-run shows the rows that it would load",
    )


def _refuse_tables(present: Present) -> None:
    if present.database or present.tables:
        raise UsageError("--database and --table go with a database, not with files", hint="korrigo-backup compare -h")


def _compare_before(present: Present, *, media: bool) -> Comparison:
    site = present.site
    stamps = site.required_media().kept("before") if media else []
    databases = {} if media else beside(Databases(site.postgres).names(), site.postgres.database, "before")
    if not stamps and not databases:
        raise NotFound(
            "no restore has kept a previous copy", hint="compare a backup instead: korrigo-backup compare latest"
        )
    if media:
        return compare_previous_copy(site, site.required_media().aside("before", stamps[0]), shown=present.shown)
    return compare_database(present, databases[max(databases)])
