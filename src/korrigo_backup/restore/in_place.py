"""Restore in place: for a role that may not create databases, the content is replaced inside the live database.

No previous copy can be kept, so a safety backup serves for a rollback, made and read back while the site is stopped and
before any change. Content is replaced in one transaction: a failure, or a crash, before its end leaves the old content.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, assert_never

from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.core.finding import Finding, error, warning
from korrigo_backup.errors import UsageError
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.postgres.dump.guard import loaded_with_path, path_may_help
from korrigo_backup.postgres.dump.load_in_place import InPlacePhase, Replacing
from korrigo_backup.postgres.dump.proof import holds
from korrigo_backup.postgres.server_error import StatementFailed
from korrigo_backup.restore.extensions import extensions_made
from korrigo_backup.restore.needs import restore_needs
from korrigo_backup.restore.plan import FROM_SAFETY, replaced_in_place
from korrigo_backup.restore.planning import PartPlan, plan_sql
from korrigo_backup.restore.unsearched import unsearched
from korrigo_backup.restore.versions import knows_restrict, left_out_here
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import DatabaseProven, EndingSessions, LoadingArtifact, Proving, SecuringFirst
from korrigo_backup.system.timings import phase
from korrigo_backup.verify.dump_source import SqlSource, open_sql
from korrigo_backup.verify.foreign import as_owner, without_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.manifest import DatabaseProof, TableProof
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.restore.method import RestoreRun
    from korrigo_backup.restore.parts import RestoreContext
    from korrigo_backup.run.undo import UndoStack

_TRANSACTION = "SELECT to_json(pg_current_xact_id()::text)"


@contextmanager
def open_in_place(artifact: Artifact, context: RestoreContext) -> Iterator[InPlace]:
    """Open and verify a dump that is to replace the content of the live database."""
    with open_sql(artifact, context.site.postgres.access) as source:
        plan = plan_sql(context.site, artifact, source, stamp=context.stamp, in_place=True, erasing=context.erasing)
        lost = unsearched(context, artifact, source.scan)
        found = (*plan.findings, *_findings(context, source), *_needs(context, source), *lost)
        yield InPlace(source, context, replace(plan, findings=found), artifact)


@dataclass
class InPlace:
    """Replace the content of the live database, in one transaction, after a safety backup."""

    source: SqlSource
    context: RestoreContext
    part: PartPlan
    artifact: Artifact
    verb: Verb = Verb.RESTORE_IN_PLACE
    _committing: bool = field(default=False, init=False)

    def plan(self) -> tuple[PartPlan, ...]:
        """Return the effect on the database."""
        return (self.part,)

    def carry_out(self, undo: UndoStack, run: RestoreRun) -> None:
        """Stop, make the safety backup, replace. There is no stage: the dump was verified when it was opened."""
        self.context = self.context.heard_by(run.listen)
        run.stop(undo)
        run.listen(SecuringFirst())
        safety = run.secure()
        undo.push(f"the content of the database, from {safety.path}", lambda: self._bring_back(safety, run))
        run.listen(EndingSessions())
        present = safety.manifest.database if safety.manifest else None
        noted = partial(_note_transaction, run)
        replace_content(self.context, self.artifact, self.source, present, committing=self._commits, proven=noted)

    def _bring_back(self, safety: Artifact, run: RestoreRun) -> None:
        """Load the safety backup, unless the transaction was rolled back.

        Once the commit was sent, only the content shows on which side of it an interruption was.
        """
        if not self._committing:
            return
        with open_sql(safety) as source:
            if not holds(self.context.site.postgres, source.expected):
                noted = partial(_note_taken_back, run)
                replace_content(replace(self.context, erasing=None), safety, source, None, proven=noted)
        run.note(transaction="")

    def _commits(self) -> None:
        self._committing = True


def _note_transaction(run: RestoreRun, session: Session) -> None:
    """Write into the journal the transaction that decides the restore, before it is committed."""
    run.note(transaction=session.ask(_TRANSACTION, str))


def _note_taken_back(run: RestoreRun, session: Session) -> None:
    """Write into the journal the transaction that undoes the restore, before it is committed: a kill may follow."""
    run.note(taken_back=session.ask(_TRANSACTION, str))


@phase("load in place")
def replace_content(
    context: RestoreContext,
    artifact: Artifact,
    source: SqlSource,
    present: DatabaseProof | None,
    *,
    committing: Callable[[], None] = lambda: None,
    proven: Callable[[Session], None] = lambda _: None,
) -> None:
    """Replace the content of the live database by that of a verified dump, in one transaction, and prove it.

    `present` is the proof that the present content must still match; `committing` is called when the transaction is
    about to end, `proven` with its session before that.
    """
    server = context.site.postgres
    databases, live = Databases(server), server.database
    sorts = left_out_here(server, source.scan)
    replacing = Replacing(
        source.file,
        artifact.name,
        source.sha256,
        source.scan,
        source.expected,
        *sorts,
        accept=context.accept,
        report=context.report,
        foreign=not context.trusted,
        restricted=knows_restrict(server.client_version()),
        is_open=server.common == server.database,
    )

    listen = _listener(context, artifact, committing)

    def run() -> tuple[TableProof, ...]:
        with server.session() as session, ExitStack() as until_committed:

            def erase(session: Session) -> None:
                if context.site.ledger:
                    until_committed.enter_context(context.site.ledger.held())
                if context.erasing:
                    context.erasing.erase_open(context.site, artifact, session, report=context.report)
                proven(session)

            try:
                databases.disconnect(live, but=session.ask("SELECT pg_backend_pid()", int))
                return replacing.run(session, present=present, listen=listen, proven=erase)
            finally:
                databases.admit(live)

    try:
        tables = run()
    except StatementFailed as problem:
        if not path_may_help(problem.server, source.expected.search_path):
            raise
        context.report(loaded_with_path(problem.server, source.expected.search_path))
        replacing.with_path = True
        tables = run()
    rows = sum(table.rows for table in tables)
    context.listen(DatabaseProven(len(tables), rows, content=source.by_content))


def _listener(
    context: RestoreContext, artifact: Artifact, committing: Callable[[], None]
) -> Callable[[InPlacePhase], None]:
    def tell(begun: InPlacePhase) -> None:
        match begun:
            case InPlacePhase.LOAD:
                context.listen(LoadingArtifact(str(artifact.path)))
            case InPlacePhase.PROVE:
                context.listen(Proving())
            case InPlacePhase.COMMIT:
                committing()
            case _:
                assert_never(begun)

    return tell


def require_database_alone(artifact: Artifact) -> None:
    """Raise UsageError for an artifact that cannot be restored in place: media and database share no transaction."""
    if not KINDS[artifact.kind].is_dump:
        manifest = artifact.manifest
        names = (manifest.database_backup, manifest.media_backup) if manifest else (None, None)
        ways = [
            f"korrigo-backup restore {name}{option}"
            for name, option in zip(names, (" --in-place", ""), strict=True)
            if name
        ]
        raise UsageError(
            f"--in-place restores a database alone, and {artifact.name} is not a dump of a database",
            hint=f"restore its components in turn: {'; '.join(ways)}"
            if KINDS[artifact.kind].components
            else "leave out --in-place",
        )


def _needs(context: RestoreContext, source: SqlSource) -> Iterator[Finding]:
    server = context.site.postgres
    if server.database in Databases(server).names():
        makes = extensions_made(source.scan)
        yield from restore_needs(server, source.expected, "", exists=True, in_place=True, extensions=makes)


def _findings(context: RestoreContext, source: SqlSource) -> Iterator[Finding]:
    databases, live = Databases(context.site.postgres), context.site.postgres.database
    role = databases.role()
    if live not in databases.names():
        yield error("restore.in_place", f"database {live} does not exist: a restore in place needs it",
                    "restore without --in-place, or make it: CREATE DATABASE")  # fmt: skip
        return
    if not databases.owns(live):
        yield error("restore.in_place", f"role {role.name} does not own database {live}",
                    f'as a superuser: ALTER DATABASE "{live}" OWNER TO "{role.name}"')  # fmt: skip
    saved, now = source.expected.properties, databases.properties(live).encoding_name
    if saved and saved.encoding_name != now:
        yield error("restore.in_place", f"the backup is in {saved.encoding_name}, database {live} in {now}",
                    "restore without --in-place: the database is then made in the saved encoding")  # fmt: skip
    if role.superuser and not context.trusted:
        yield error("restore.in_place", "an unsigned backup cannot be restored in place by a superuser",
                    "restore it without --in-place: it is then loaded by a role without rights")  # fmt: skip
    if not role.superuser and not context.trusted:
        yield from as_owner("the dump", role, in_place=True)
        yield from without_rows("the dump", source.scan, context.accept)
    if source.scan.own_transactions:
        yield error("restore.in_place", "the dump has transaction commands of its own, so it cannot be rolled back",
                    "restore it without --in-place")  # fmt: skip
    yield warning("restore.in_place", replaced_in_place(live), f"to go back: {FROM_SAFETY}")
