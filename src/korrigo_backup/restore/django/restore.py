"""Restore a Django backup (Method 2) by one command: the site's own manage.py loads the data that we serve to it.

It loads a copy of the database (`staged.py`), or where there can be none the live database. The load is one transaction
of that process, which proves the loaded data and then waits for our word; before that we have made sure that it is our
database and our media that it changes. In place the way back is a safety backup, made first (way_back.py).
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import IO, TYPE_CHECKING

from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.finding import warning
from korrigo_backup.errors import KorrigoBackupError, Refused, UsageError
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.postgres.dump.proof import holds
from korrigo_backup.recovery import django as undecided
from korrigo_backup.restore.django.files import open_verified
from korrigo_backup.restore.django.live_erasure import announce_erasure, erase_live
from korrigo_backup.restore.django.media_archive import require_room, with_archive
from korrigo_backup.restore.django.planning import (
    DjangoCheck,
    Live,
    check_counts,
    plan_database,
    plan_media_of,
    plan_staged,
)
from korrigo_backup.restore.django.staged import discard, hindrance, stage_copy, staged_name
from korrigo_backup.restore.django.way_back import take_back_loaded
from korrigo_backup.restore.unsearched import unsearched_by_django
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import (
    DjangoMediaRestored,
    EndingSessions,
    LoadingArtifact,
    PuttingBack,
    RestoringInPlace,
    RowsCounted,
    SecuringFirst,
)
from korrigo_backup.site.manage import require_own_commands
from korrigo_backup.site.served import Served
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.manifest import Manifest
    from korrigo_backup.media.port import Tree
    from korrigo_backup.recovery.erasure import ErasureRecord
    from korrigo_backup.restore.method import RestoreRun
    from korrigo_backup.restore.parts import RestoreContext
    from korrigo_backup.restore.planning import PartPlan
    from korrigo_backup.run.step import DjangoStep
    from korrigo_backup.run.undo import UndoStack
    from korrigo_backup.site.manage import DjangoCommands

# Does the transaction hold the loaded data in our database? Both views show it to every role.
_HERE = """
SELECT to_json(count(*)) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'transactionid' AND l.granted AND l.transactionid::text = (({0}::bigint) & 4294967295)::text
  AND a.datname = current_database()
"""


@contextmanager
def open_django(artifact: Artifact, context: RestoreContext) -> Iterator[DjangoLoad]:
    """Open and verify a Django backup, let the site's manage.py check it, and yield the method of its restore.

    Raises UsageError when nothing says how manage.py is run, ProofFailed, and the errors of manage.py.
    """
    django = context.site.django
    if django is None:
        raise UsageError(
            "how the site's manage.py is run is not configured",
            hint='set [django] manage = ["python", "manage.py"], or KORRIGO_BACKUP_MANAGE;'
            f" or where the site runs: python manage.py restore {artifact.path}",
            id_="django.absent",
        )
    described = require_own_commands(django)
    with ExitStack() as stack:
        manifest, findings, files = open_verified(artifact, stack)
        require_room(artifact.path.parent, manifest)
        checked = DjangoCheck()
        served = Served(files, checked.hear, _not_now)
        django.take_in(served, "--dry-run", *_trust(artifact))
        live = Live.of(checked, manifest)
        reason = hindrance(context.site, described, checked, context.stamp)
        found = [*findings, *checked.warnings, *unsearched_by_django(context, artifact, manifest)]
        plan = plan_database(context.site, artifact, manifest, live, found, reason=reason)
        backup = DjangoBackup(artifact, manifest, files, django, live, _held(checked, manifest), stack)
        media = plan_media_of(context, artifact, manifest, files) if manifest.includes_media else None
        staged = None if reason else plan_staged(context.site, plan, context.stamp)
        yield DjangoLoad(backup, context, plan, staged, media)


@dataclass
class DjangoLoad:
    """Let the site's manage.py load a copy of the live database, and swap; without a copy, load the live database.

    `staged` is the plan of the former, None for want of a copy; `in_place` that of the latter.
    """

    backup: DjangoBackup
    context: RestoreContext
    in_place: PartPlan
    staged: PartPlan | None
    media: PartPlan | None

    @property
    def verb(self) -> Verb:
        """The verb in the journal: it says how the restore is undone."""
        return Verb.RESTORE if self.staged else Verb.RESTORE_BY_DJANGO

    def plan(self) -> tuple[PartPlan, ...]:
        """Return the effect on the database, and on the media if the backup has some."""
        return tuple(part for part in (self.staged or self.in_place, self.media) if part)

    def carry_out(self, undo: UndoStack, run: RestoreRun) -> None:
        """Load a copy while the site serves, stop, copy later changes, swap; else load in place."""
        loading = ManageLoad(self.backup, self.context.heard_by(run.listen), run)
        copy = stage_copy(loading, self.staged, undo) if self.staged else None
        if isinstance(copy, str):
            self._give_up(copy, loading)
            copy = None
        tree = run.site.media if self.media else None
        run.stop(undo)
        if copy and (reason := copy.catch_up(undo)):
            self._give_up(reason, loading)
            Databases(run.site.postgres).admit(run.site.postgres.database)
            copy = None
        if copy is None:
            loading.load_in_place(undo)
            if record := loading.record:
                erase_live(self.context, run, self.backup.artifact, record)
            return
        with run.site.ledger.held() if run.site.ledger else nullcontext():
            self._erase(run, staged_name(self.context), media=tree and tree.aside("stage", self.context.stamp))
            copy.swap_database(undo)
            if self.media:
                copy.swap_media(undo)

    def _erase(self, run: RestoreRun, database: str, *, media: Tree | None) -> None:
        """Take out of the loaded data again the rows and files erased on request; the services are stopped."""
        if erasing := self.context.erasing:
            erasing.erase_loaded(run.site, self.backup.artifact, database, media, report=self.context.report)

    def _give_up(self, reason: str, loading: ManageLoad) -> None:
        """Go on in place: remove the staged data, and report the reason."""
        self.staged = None
        loading.run.note(verb=self.verb)
        way = next(one.hint for one in self.in_place.findings if one.id == "restore.django")
        self.context.report(warning("restore.django", f"restored in place: {reason}", way))
        loading.context.listen(RestoringInPlace(reason))
        discard(loading)


@dataclass(frozen=True)
class DjangoBackup:
    """A Django backup, open and verified, and checked by the site's manage.py."""

    artifact: Artifact
    manifest: Manifest
    files: dict[str, IO[bytes]]
    django: DjangoCommands
    live: Live
    held: frozenset[str]
    """The tables whose rows are all those of the backup, by their names as SQL writes them."""
    opened: ExitStack

    @cached_property
    def served(self) -> Mapping[str, IO[bytes]]:
        """The files that manage.py is served: those of the artifact, with its media as an archive."""
        if not (self.manifest.media and self.manifest.media.store):
            return self.files
        return with_archive(self.artifact.path, self.manifest, self.files, self.opened)


@dataclass
class ManageLoad:
    """A load of database and media by the site's manage.py."""

    backup: DjangoBackup
    context: RestoreContext
    run: RestoreRun
    record: ErasureRecord | None = field(default=None, init=False)
    """The record of an erasure that is to follow a load of the live database."""

    _transaction: str = field(default="", init=False)

    def load_in_place(self, undo: UndoStack) -> None:
        """Make the safety backup, then let manage.py replace database and media; the services are stopped."""
        site, listen = self.context.site, self.context.listen
        listen(SecuringFirst())
        safety = self.run.secure()
        self.run.note(safety=safety.name)
        undo.push("the restore by Django", lambda: self._take_back(safety))
        listen(EndingSessions())
        databases, live = Databases(site.postgres), site.postgres.database
        databases.disconnect(live)
        databases.admit(live)
        self._require_unchanged(safety)
        self.record = announce_erasure(self.context, self.run, self.backup.artifact)
        self._load_here()
        counted = check_counts(site, self.backup.live, self.backup.manifest, strict=site.services.configured)
        if counted.tables:  # the former command did not say how many there are
            listen(RowsCounted(counted.tables, counted.rows))

    def _require_unchanged(self, safety: Artifact) -> None:
        present = safety.manifest.database if safety.manifest else None
        if present and not holds(self.context.site.postgres, present):
            raise Refused(
                "another program has written to the database since its safety backup was made",
                hint="stop the programs that write to it ([services] stop), then run the restore again",
            )

    @phase("load by manage.py")
    def load(self, *, into: str = "") -> None:
        """Serve manage.py to its end, which loads the live database, or a copy of it."""
        self.context.listen(LoadingArtifact(str(self.backup.artifact.path)))
        served = Served(self.backup.served, self.hear, partial(self._ready, into=into))
        options = ("--stamp", self.context.stamp, *_trust(self.backup.artifact), *(("--into", into) if into else ()))
        self.backup.django.take_in(served, *options)

    def _load_here(self) -> None:
        """Load the live database; where manage.py does not come to say how it ended, the server tells."""
        try:
            self.load()
        except KorrigoBackupError:
            if not self._took_place():
                raise

    def hear(self, step: DjangoStep) -> None:
        """Pass on a step of manage.py; the archive of the media is that on this machine."""
        if isinstance(step, DjangoMediaRestored):
            step = DjangoMediaRestored(str(self.backup.artifact.path / (self.backup.manifest.media_backup or "")))
        self.context.listen(step)

    def _ready(self, transaction: str, *, into: str) -> None:
        """Let the transaction end when it is in our database and the media are ours; it is written down first."""
        site = self.context.site
        expected = into or site.postgres.database
        here = transaction.isdigit() and site.postgres.ask(_HERE.format(transaction), int, database=expected)
        if not here:
            raise Refused(
                f"the site's manage.py has loaded into another database than {expected} at"
                f" {site.postgres.access.description}",
                hint="make POSTGRES_DB and POSTGRES_HOST those of DATABASES in its settings",
            )
        if self.backup.manifest.includes_media and self.context.stamp not in site.configured_media().kept("journal"):
            raise Refused(
                f"the site's manage.py has other media than {site.configured_media().root}",
                hint="make MEDIA_ROOT ([media] root, on Compose [compose] media) that of its settings",
            )
        if not into:
            if self.record:
                self.record.write(transaction=transaction)
            self.run.note(transaction=transaction)
            self._transaction = transaction

    def _took_place(self) -> bool:
        """Return whether the restore is done in spite of an error; the site's Django finishes or undoes it first."""
        site = self.context.site
        if not self._transaction:
            undecided.end_load(site.postgres)
        undecided.finish(site)
        return bool(self._transaction) and undecided.committed(site.postgres, self._transaction)

    def _take_back(self, safety: Artifact) -> None:
        if self._took_place():
            self.context.listen(PuttingBack(safety.name))
            take_back_loaded(self.context.site, safety, self.context.stamp, self.context.listen, record=self.record)
        self.run.note(transaction="")
        if self.record:
            self.record.remove()


def _held(checked: DjangoCheck, manifest: Manifest) -> frozenset[str]:
    """Return the tables whose rows the backup holds; of some it has only those that others refer to."""
    partly = {model.name for model in manifest.django.referred} if manifest.django else set()
    return frozenset(table for label, table in checked.tables.items() if label not in partly)


def _trust(artifact: Artifact) -> tuple[str, ...]:
    """Return the option for the state of the signature; whether it is allowed was decided here."""
    return ("--verified",) if artifact.authenticity is Authenticity.AUTHENTIC else ("--allow-unsigned",)


def _not_now(transaction: str) -> None:
    raise Refused(f"a check must not change a row, and transaction {transaction} has", hint="report this")
