"""The parts of a site that a restore replaces, the database and the media, each staged and then swapped in.

One file: both parts have the same steps, and stage into the same names.
"""

from __future__ import annotations

import secrets
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import IO, TYPE_CHECKING, assert_never

from korrigo_backup.artifact import naming
from korrigo_backup.artifact.kinds import Kind
from korrigo_backup.core.secret import Secret
from korrigo_backup.erasure.ledger import ErasedMeanwhile
from korrigo_backup.errors import ProofFailed
from korrigo_backup.media.findings import losses
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.postgres.difference import Acceptance
from korrigo_backup.postgres.dump import edit as sql_format
from korrigo_backup.postgres.dump.bound import bound_in, taken_out, without_bound
from korrigo_backup.postgres.dump.guard import guarding, loaded_with_path, path_may_help
from korrigo_backup.postgres.dump.place import reading
from korrigo_backup.postgres.dump.proof import prove, undressing
from korrigo_backup.postgres.dump.scan import Sort
from korrigo_backup.postgres.property_differences import (
    create_like,
    give,
    give_role_settings,
    loss_findings,
    target_properties,
)
from korrigo_backup.postgres.server_error import StatementFailed
from korrigo_backup.restore.bound import bound_findings, left_out, make, spooled
from korrigo_backup.restore.extensions import extension_findings, extensions_made, make_first, privileged
from korrigo_backup.restore.foreign_media import located
from korrigo_backup.restore.needs import require_entrance, restore_needs
from korrigo_backup.restore.planning import PartPlan, plan_media, plan_sql
from korrigo_backup.restore.unsearched import unsearched
from korrigo_backup.restore.versions import knows_restrict, left_out_here
from korrigo_backup.run.step import (
    CreatingDatabase,
    DatabaseProven,
    EndingSessions,
    LoadingArtifact,
    MediaProven,
    Proving,
    Swapping,
)
from korrigo_backup.site.erasing import Erasing
from korrigo_backup.system.files import explained
from korrigo_backup.system.timings import phase
from korrigo_backup.verify.dump_source import SqlSource, open_sql
from korrigo_backup.verify.foreign import as_owner, without_rows
from korrigo_backup.verify.media_source import MediaSource, open_media

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.media.port import Stage, Tree
    from korrigo_backup.postgres.databases import Role
    from korrigo_backup.postgres.dump.bound import Bound
    from korrigo_backup.postgres.dump.guard import Failure
    from korrigo_backup.postgres.property_differences import TargetProperties
    from korrigo_backup.run.step import Listener
    from korrigo_backup.run.undo import UndoStack
    from korrigo_backup.site.site import Site


def _ignore(finding: Finding) -> None:
    """Ignore a finding that is not shown."""


@dataclass(frozen=True)
class RestoreContext:
    """The surroundings of every part: the site, the stamp of all names, the listener, whether the content is trusted.

    `accept` holds the names of differences that the operator accepts (`restore --accept`). `report` takes findings that
    come up during a step; a finding of level LOSS there ends the restore with exit code 3. On a `confined` server,
    which runs on this machine, a role without rights loads also data that this site has signed. `erasing` takes out
    again the rows that the ledger names, None for a copy of live data.
    """

    site: Site
    stamp: str
    listen: Listener
    trusted: bool
    accept: Acceptance = field(default_factory=Acceptance)
    report: Callable[[Finding], None] = _ignore
    confined: bool = False
    erasing: Erasing | None = field(default_factory=Erasing)

    @property
    def without_rights(self) -> bool:
        """Whether a role without rights is to load a dump."""
        return self.confined or not self.trusted

    def heard_by(self, listen: Listener) -> RestoreContext:
        """Return this context with another listener."""
        return replace(self, listen=listen)


@contextmanager
def open_part(artifact: Artifact, context: RestoreContext, *, rehearsal: bool = False) -> Iterator[StagedPart]:
    """Open and verify an artifact as the part of the site that it restores; a `rehearsal` ends before the swap."""
    with ExitStack() as stack:
        match artifact.kind:
            case Kind.SQL:
                dump = stack.enter_context(open_sql(artifact, context.site.postgres.access))
                yield _open_database(artifact, dump, context, rehearsal=rehearsal)
            case Kind.MEDIA:
                opened = stack.enter_context(open_media(artifact, unpacked=False))
                archive = located(context.site.configured_media(), artifact, opened, context.accept)
                erased = context.erasing.files_of(context.site, artifact) if context.erasing else frozenset()
                plan = plan_media(context.site, archive, stamp=context.stamp, compare=not rehearsal, erased=erased)
                yield MediaPart(artifact, archive, context, plan)
            case Kind.POINT | Kind.DJANGO:
                raise ValueError(f"{artifact.name} is no single part of a site")
            case _:
                assert_never(artifact.kind)


def _unsigned(artifact: Artifact, dump: SqlSource, context: RestoreContext) -> Iterator[Finding]:
    yield from without_rows(artifact.name, dump.scan, context.accept)
    yield from as_owner(artifact.name, Databases(context.site.postgres).role())


def _open_database(artifact: Artifact, dump: SqlSource, context: RestoreContext, *, rehearsal: bool) -> DatabasePart:
    plan = plan_sql(context.site, artifact, dump, stamp=context.stamp, compare=not rehearsal, erasing=context.erasing)
    exists = plan.replacement.kept_as is not None
    target = target_properties(context.site.postgres, dump.expected, exists=exists, trusted=context.trusted)
    server, staged = context.site.postgres, naming.stage_database(context.site.postgres.database, context.stamp)
    role = Databases(server).role()
    is_loader = context.without_rights and role.superuser
    wanted_here = reduce(without_bound, left_out(context, dump, rehearsal=rehearsal), dump.expected)
    later = {one.extension for one in bound_in(dump.expected, dump.scan)}
    makes = extensions_made(dump.scan).keys() - later
    needs = restore_needs(
        server, wanted_here, staged, exists=exists, in_place=False, roles=not is_loader, extensions=makes
    )
    bound = bound_findings(context, dump, rehearsal=rehearsal)
    lost = list(unsearched(context, artifact, dump.scan, rehearsal=rehearsal))
    for finding in lost if rehearsal else ():
        context.report(finding)
    found = [*plan.findings, *needs, *bound, *lost, *(loss_findings(target) if target.from_nothing else ())]
    made_first: Mapping[str, str] = {}
    if not context.trusted:
        found += _unsigned(artifact, dump, context)
    if is_loader:
        wanted = privileged(server, dump.scan, exists=exists, every=context.confined, without=later)
        found += () if context.confined else extension_findings(server, artifact.name, wanted)
        made_first = wanted.made
    return DatabasePart(
        artifact,
        dump,
        context,
        replace(plan, findings=tuple(found)),
        target=target,
        rehearsal=rehearsal,
        role=role,
        made_first=made_first,
    )


@dataclass(frozen=True)
class DatabasePart:
    """The database, from a dump. A `rehearsal` ends before the swap, so that it changes no role."""

    artifact: Artifact
    source: SqlSource
    context: RestoreContext
    plan: PartPlan
    staged_as: str = ""
    target: TargetProperties | None = None
    rehearsal: bool = False
    role: Role | None = None
    """Our role, None if it is to be asked for."""
    made_first: Mapping[str, str] = field(default_factory=dict)
    """Extensions, and their schemas, that our role makes for a loader."""
    databases: Databases = field(init=False)
    spools: list[tuple[Bound, IO[bytes]]] = field(init=False, default_factory=list)
    """The statements that are executed in the live database after the swap."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "databases", Databases(self.context.site.postgres))

    def heard_by(self, listen: Listener) -> DatabasePart:
        """Return this part with another listener of its steps."""
        return replace(self, context=self.context.heard_by(listen))

    @phase("staging of the database")
    def stage(self, undo: UndoStack) -> None:
        """Load the dump into a database of its own and prove it there."""
        target, role = self._target(), self.role or self.databases.role()
        self.context.listen(CreatingDatabase(self._stage))
        loader = self._loader(role, undo)
        undo.push(f"the staged database {self._stage}", lambda: self.databases.drop_staged(self._stage))
        self._create(target, loader)
        shared = "" if not self.context.without_rights or loader else self.databases.shared_state()
        failed = self._loaded(target, loader)
        if shared and self.databases.shared_state() != shared:
            raise ProofFailed(
                f"{self.artifact.name} changed role {role.name} or the live database while it was loaded",
                hint="do not use it; look for its changes: \\drds, \\du and \\l in psql",
            )
        self._prove(loader, failed)
        if erasing := self.context.erasing:
            server = self.context.site.postgres
            erasing.erase_staged(
                self.context.site,
                self.artifact,
                server.as_user(loader.user, loader.password) if loader else server,
                database=self._stage,
                report=self.context.report,
            )
        if loader and not self.context.confined:
            self.databases.give(self._stage, loader.user, target.like.owner if target.like else role.name)
            self.databases.drop_role(loader.user)
        give(self.databases, self._stage, target, self.context.report)
        if target.of_roles and not self.rehearsal:
            give_role_settings(self.databases, target, self.context.report)
        if not self.rehearsal:
            self.spools.extend(spooled(self.context, self.source, self.artifact.name))

    def erase_again(self) -> None:
        """Erase what `forget` has recorded since the stage. Raises ErasedMeanwhile if the role that loaded is gone."""
        site = self.context.site
        if self.context.without_rights and self.databases.role().makes_roles:
            raise ErasedMeanwhile(
                "forget has recorded an erasure since the data were staged", hint="restore again: it is then erased"
            )
        if erasing := self.context.erasing:
            erasing.erase_staged(site, self.artifact, site.postgres, database=self._stage, report=self.context.report)

    @phase("swap of the database")
    def swap(self, undo: UndoStack) -> None:
        """Swap by two renames in one transaction, after every session has ended."""
        live, kept = self.context.site.postgres.database, self.plan.replacement.kept_as
        before = naming.before_database(live, self.context.stamp)
        self.context.listen(EndingSessions())
        undo.push("the swap of the databases", lambda: self._undo_swap(live, kept, before))
        self.context.listen(Swapping(kept or "", "database"))
        self.databases.swap(live, self._stage, kept, comment=self._target().comment, incomplete=bool(self.spools))
        for bound, spool in self.spools:
            restricted = knows_restrict(self.context.site.postgres.client_version())
            make(self.context, self.source, bound, spool, restricted=restricted)
        if self.spools:
            self.databases.complete(live)

    def _undo_swap(self, live: str, kept: str | None, before: str) -> None:
        self.databases.undo_swap(live, self._stage, before, from_nothing=kept is None)

    @property
    def _stage(self) -> str:
        return self.staged_as or naming.stage_database(self.context.site.postgres.database, self.context.stamp)

    def _loader(self, role: Role, undo: UndoStack) -> _LoadingRole | None:
        """Make a role without rights if the content needs one; our own is used if it may make none."""
        if not self.context.without_rights or not role.makes_roles:
            return None
        made = _LoadingRole(
            naming.loader_role(self.context.site.postgres.database, self.context.stamp),
            Secret(secrets.token_urlsafe(24)),
        )
        undo.push(f"the role {made.user}", lambda: self.databases.drop_role(made.user))
        self.databases.create_loader(made.user, made.password, role)
        return made

    def _target(self) -> TargetProperties:
        return self.target or target_properties(
            self.context.site.postgres,
            self.source.expected,
            exists=self.plan.replacement.kept_as is not None,
            trusted=self.context.trusted,
        )

    def _create(self, target: TargetProperties, loader: _LoadingRole | None) -> None:
        create_like(self.databases, self._stage, target, self.context.report)
        require_entrance(self.context.site.postgres, self._stage)
        if loader:
            self.databases.own(self._stage, loader.user)
            make_first(self.context.site.postgres, self._stage, self.made_first, loader.user)

    @phase("load")
    def _loaded(self, target: TargetProperties, loader: _LoadingRole | None) -> tuple[Failure, ...]:
        """Load the dump; where a name is not found, once more with the search path of the saved database."""
        try:
            return self._load(loader)
        except StatementFailed as problem:
            path = self.source.expected.search_path
            if not path_may_help(problem.server, path):
                raise
            self.context.report(loaded_with_path(problem.server, path))
        self.databases.drop_staged(self._stage)
        self._create(target, loader)
        return self._load(loader, with_path=True)

    def _load(self, loader: _LoadingRole | None, *, with_path: bool = False) -> tuple[Failure, ...]:
        server, name = self.context.site.postgres, self.artifact.name
        sorts = left_out_here(server, self.source.scan)
        foreign = {*sorts, *(_NOT_OURS if loader else ())} if self.context.without_rights else None
        self.context.listen(LoadingArtifact(str(self.artifact.path)))
        expected = self.source.expected
        edits = guarding(self.source.scan, expected.search_path, without=sorts, with_path=with_path)
        edits += tuple(
            edit for one in bound_in(expected, self.source.scan) for edit in taken_out(self.source.scan, one)
        )
        for statement in undressing(expected, "schema"):
            server.script(statement, database=self._stage)
        loaded = sql_format.load(
            server.as_user(loader.user, loader.password) if loader else server,
            self.source.file,
            name,
            database=self._stage,
            edits=edits,
            foreign=foreign,
            restricted=knows_restrict(server.client_version()),
        )
        for statement in undressing(expected, "extension"):
            server.script(statement, database=self._stage)
        if loaded.sha256 != self.source.sha256:
            raise ProofFailed(
                f"{name} changed while it was read", hint="find the program that writes to it, then retry"
            )
        return loaded.failed

    @phase("proof")
    def _prove(self, loader: _LoadingRole | None, failed: tuple[Failure, ...]) -> None:
        """Prove the loaded data, as the role that loaded them: to read a table can run a function of its indexes."""
        self.context.listen(Proving())
        server = self.context.site.postgres
        with reading(self.artifact.name) if self.context.without_rights else nullcontext():
            tables = prove(
                server.as_user(loader.user, loader.password) if loader else server,
                reduce(without_bound, bound_in(self.source.expected, self.source.scan), self.source.expected),
                database=self._stage,
                accept=self.context.accept,
                report=self.context.report,
                failed=failed,
                roles=loader is None,
            )
        rows = sum(table.rows for table in tables)
        self.context.listen(DatabaseProven(len(tables), rows, content=self.source.by_content))


_NOT_OURS = (Sort.ROLE, Sort.PUBLIC_OWNER, Sort.EXTENSION_COMMENT)
"""Statements that a role without rights may not execute; its objects get their owner afterwards."""


@dataclass(frozen=True)
class _LoadingRole:
    user: str
    password: Secret


@dataclass(frozen=True)
class MediaPart:
    """The media tree, from an archive."""

    artifact: Artifact
    source: MediaSource
    context: RestoreContext
    plan: PartPlan

    def heard_by(self, listen: Listener) -> MediaPart:
        """Return this part with another listener of its steps."""
        return replace(self, context=self.context.heard_by(listen))

    @phase("staging of the media")
    def stage(self, undo: UndoStack) -> None:
        """Unpack the archive next to the live children, each file proven as it is written."""
        tree, stamp = self._tree, self.context.stamp
        with explained("write the media tree"):
            self.context.listen(LoadingArtifact(str(self.artifact.path)))
            undo.push("the staged media", lambda: tree.discard_stage(stamp))
            staging = tree.stage(stamp)
            try:
                loaded = self.source.load(
                    staging,
                    trusted=self.context.trusted,
                    link_unchanged=self.context.site.store.link_unchanged,
                )
                self._carry_links(staging)
            except BaseException:
                staging.close()
                raise
            lost = staging.finish()
        for finding in losses(lost.counts, lost.first):
            self.context.report(finding)
        proven = MediaProven(loaded.files, loaded.bytes, content=self.source.by_content, unread=loaded.unread)
        self.context.listen(proven)
        self.erase_again()

    def erase_again(self) -> None:
        """Erase from the staged files those that `forget` has recorded."""
        if erasing := self.context.erasing:
            staged = self._tree.aside("stage", self.context.stamp)
            with explained("erase files from the staged media"):
                erasing.erase_files(self.context.site, self.artifact, staged, report=self.context.report)

    @phase("swap of the media")
    def swap(self, undo: UndoStack) -> None:
        """Swap the children by renames."""
        tree, stamp = self._tree, self.context.stamp
        with explained("swap the media tree"):
            undo.push("the swap of the media", lambda: tree.undo_swap(stamp))
            self.context.listen(Swapping(str(tree.beside("before", stamp)), "media"))
            tree.swap(stamp)

    def _carry_links(self, staging: Stage) -> None:
        """Keep the live links that lead out of the tree, and of an archive without links all of them."""
        if not self._tree.exists():
            return
        all_links = not (self.source.saved and self.source.saved.properties)
        for path, target, leads_out in self._tree.links():
            if leads_out or all_links:
                staging.carry_link(path, target)

    @property
    def _tree(self) -> Tree:
        return self.context.site.configured_media()


StagedPart = DatabasePart | MediaPart
"""A part of the site: `stage` loads and proves it next to the live part, while the site serves; `swap` exchanges both.

Each step registers its undo before it changes anything.
"""
