"""The effect of the restore of a Django backup, and a check afterwards: rows by table, files, room."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING

import msgspec

from korrigo_backup.artifact.naming import before_database
from korrigo_backup.compare.differences import Counted, FileChange
from korrigo_backup.compare.media import file_changes
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding, ok, warning
from korrigo_backup.errors import ProofFailed
from korrigo_backup.media import listing as members
from korrigo_backup.media.saved_files import stored_files
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.postgres.digest import snapshot
from korrigo_backup.postgres.sql import literal
from korrigo_backup.restore.django.way_back import may_stage
from korrigo_backup.restore.plan import (
    FROM_SAFETY,
    ROLLBACK,
    Replacement,
    compare_tables,
    loaded_by_django,
    replaced_by_django,
)
from korrigo_backup.restore.planning import NAMED, PartPlan, media_replacement, mounted, room
from korrigo_backup.run.step import DjangoDatabase, DjangoTables, DjangoWarning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.manifest import Manifest
    from korrigo_backup.restore.parts import RestoreContext
    from korrigo_backup.run.step import DjangoStep
    from korrigo_backup.site.site import Site

HINT = f"to go back: {ROLLBACK}"
_FROM_SAFETY = f"{FROM_SAFETY}, then rollback --media-only"
IN_PLACE_HINT = f"to go back: {_FROM_SAFETY}"


@dataclass
class DjangoCheck:
    """The output of manage.py while it checks a backup: warnings, the database of its settings, tables by model."""

    warnings: list[Finding] = field(default_factory=list)
    database: str = ""
    tables: Mapping[str, str] = field(default_factory=dict)

    def hear(self, step: DjangoStep) -> None:
        """Take the facts of a step; the other steps of a check have none."""
        if isinstance(step, DjangoWarning):
            self.warnings.append(warning("django.warning", step.text))
        elif isinstance(step, DjangoDatabase):
            self.database = step.name
        elif isinstance(step, DjangoTables):
            self.tables = step.tables


@dataclass(frozen=True)
class Live:
    """The tables of the models that a backup holds: their rows in it, and the database that the settings name."""

    database: str
    after: Mapping[str, int]
    """Rows by the table's name, qualified and quoted as SQL needs it."""

    @classmethod
    def of(cls, checked: DjangoCheck, manifest: Manifest) -> Live:
        """Return the known tables of the backup's models; a backup of the former command counts no rows."""
        saved = manifest.django.models if manifest.django else ()
        return cls(checked.database, {checked.tables[m.name]: m.rows for m in saved if m.name in checked.tables})

    def now(self, site: Site, database: str | None = None) -> dict[str, int]:
        """Return the rows that these tables have now, in the live database or another one."""
        with snapshot(site.postgres, database=database) as taken:
            wanted = [table for table in taken.tables() if table.name in self.after]
            found = {table.name: taken.prove(table, rule=None).rows for table in wanted}
            for name in self.after.keys() - found.keys():  # partitioned: its rows are in tables of their own
                if taken.ask(f"SELECT to_json(to_regclass({literal(name)}) IS NOT NULL)", bool):
                    found[name] = taken.ask(f"SELECT count(*) FROM {name}", int)
            return found


@dataclass(frozen=True)
class Counts:
    """The counts after a load."""

    tables: int
    rows: int


def plan_database(
    site: Site, artifact: Artifact, manifest: Manifest, live: Live, findings: Sequence[Finding], *, reason: str
) -> PartPlan:
    """Return what loading the rows of a Django backup into the live database would do; `reason` is why it is done."""
    name = site.postgres.database
    replacement = Replacement(
        part="database",
        target=f"rows of {len(live.after) or 'all'} models in database {name} at {site.postgres.access.description}",
        kept_as=None,
        in_place=True,
        undone_by=ROLLBACK if may_stage(site) else _FROM_SAFETY,
        needs=Databases(site.postgres).size(name),
        free=site.postgres.free_space(),
    )
    changes = compare_tables(_counted(live.now(site)), _counted(live.after))
    found = [*findings, *_settings(name, live.database)]
    if manifest.members:
        rows = f"{manifest.django.rows} rows, " if manifest.django else ""
        found.append(ok("artifact.verified", f"{artifact.name}: {rows}every checksum as saved"))
    hint = HINT if may_stage(site) else IN_PLACE_HINT
    found.append(warning("restore.django", replaced_by_django(name, reason), hint))
    return PartPlan(replacement, (*found, *room(replacement)), changes)


def plan_staged(site: Site, plan: PartPlan, stamp: str) -> PartPlan:
    """Return what a restore in place would do, done by a copy of the live database."""
    name, one = site.postgres.database, plan.replacement
    replacement = msgspec.structs.replace(
        one, kept_as=before_database(name, stamp), in_place=False, needs=ROOM * one.needs
    )
    found = [*(finding for finding in plan.findings if finding.id not in {"restore.django", "space.database"})]
    found.append(ok("restore.django", loaded_by_django(name)))
    return replace(plan, replacement=replacement, findings=(*found, *room(replacement)))


ROOM = 2
"""How many times the size of the live database a copy may take while its rows are replaced in one transaction."""


def plan_media_of(
    context: RestoreContext, artifact: Artifact, manifest: Manifest, files: Mapping[str, IO[bytes]]
) -> PartPlan:
    """Return the effect of restoring the media of a Django backup."""
    tree = context.site.configured_media()
    needs = manifest.media.bytes if manifest.media else artifact.size
    replacement = media_replacement(tree, context.stamp, needs=needs)
    listing = files[manifest.media.members] if manifest.media else None
    findings = [*mounted(tree, tree.facts()), *room(replacement)]
    if replacement.kept_as is None:
        change = FileChange(removed=Counted(manifest.media.files if manifest.media else 0))
    elif manifest.media is None or listing is None:  # without checksums no file is known to be equal
        change = FileChange(changed=Counted(sum(1 for entry in tree.walk() if entry.is_file)))
    else:
        saved = (
            stored_files(listing, artifact.name)
            if manifest.media.store
            else members.below(members.read(listing, artifact.name), manifest.media.root)
        )
        change = file_changes(saved, tree, shown=NAMED)
        listing.seek(0)
    if manifest.media and manifest.media.store and len(manifest.media.owners) > 1:
        owners = len(manifest.media.owners)
        words = f"files of {owners} owners get the owner of the media root: manage.py restores neither owners nor links"
        findings.append(warning("media.owners", words, "restore a media backup of that day"))
    return PartPlan(replacement, tuple(findings), media=change)


def check_counts(site: Site, live: Live, manifest: Manifest, *, strict: bool, database: str | None = None) -> Counts:
    """Count the rows of the live database, or of a copy, which manage.py's proof speaks of, once more from here.

    Raises ProofFailed if they differ from the backup's and nobody can have written since (`strict`).
    """
    now = live.now(site, database)
    differing = [f"{_shown(name)} has {now.get(name, 'no')} rows, not {rows}" for name, rows in live.after.items()
                 if now.get(name) != rows]  # fmt: skip
    if differing and strict:
        raise ProofFailed(
            f"after the restore of {manifest.timestamp}: {first_of(differing, 5)}",
            hint="a program writes to the database while the services are stopped: stop it, then run it again",
        )
    return Counts(len(live.after), sum(live.after.values()))


def _counted(rows: Mapping[str, int]) -> dict[str, tuple[int, str | None]]:
    return {_shown(table): (count, None) for table, count in rows.items()}


def _shown(name: str) -> str:
    """Return the name of a table as a person writes it: without the schema that all have."""
    plain = name.removeprefix("public.")
    return plain[1:-1].replace('""', '"') if plain.startswith('"') and '"."' not in plain else plain


def _settings(ours: str, theirs: str) -> list[Finding]:
    if theirs == ours:
        return []
    what = f"the site's settings name the database {theirs!r}, this command works on {ours!r}"
    return [
        warning("django.database", what, "right with a pooler that renames; else set POSTGRES_DB to the site's own")
    ]
