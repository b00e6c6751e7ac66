"""The erasure from a live database that Django has loaded: a transaction of its own, so a record of it comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.recovery.erasure import ErasureHead, ErasureRecord

if TYPE_CHECKING:
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.restore.method import RestoreRun
    from korrigo_backup.restore.parts import RestoreContext


def announce_erasure(context: RestoreContext, run: RestoreRun, artifact: Artifact) -> ErasureRecord | None:
    """Write down, before the load, that the data of a backup are to be erased from; None without entries about them."""
    if not (context.erasing and context.erasing.wanted(context.site, artifact)):
        return None
    head = ErasureHead(
        site=context.site.name,
        database=context.site.postgres.database,
        stamp=context.stamp,
        artifact=artifact.name,
        header=artifact.header,
        created=artifact.created,
        has_media=bool(artifact.manifest and artifact.manifest.includes_media),
    )
    record = ErasureRecord(run.catalog.directory, head)
    record.write()
    return record


def erase_live(context: RestoreContext, run: RestoreRun, artifact: Artifact, record: ErasureRecord) -> None:
    """Take out of the live data again the rows and files erased on request; a kill leaves that to the next run."""
    if erasing := context.erasing:
        erasing.erase_loaded(
            run.site,
            artifact,
            run.site.postgres.database,
            run.site.configured_media() if record.head.has_media else None,
            report=context.report,
            expect=lambda: record.expect(run.site, erasing),
        )
        run.running.note(erased=erasing.journaled_rows, erased_files=erasing.hashed_files(run.site))
    record.remove()
