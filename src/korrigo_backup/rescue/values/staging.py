"""The rows of a backup that are compared with live rows: which dump, which columns, which rows."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.core.excerpt import listed
from korrigo_backup.errors import NotFound, Refused
from korrigo_backup.postgres.sql import identifier
from korrigo_backup.rescue.erased_rows import tables_to_judge, take_out
from korrigo_backup.rescue.history.tables import saved_tables
from korrigo_backup.rescue.relations import described_relations
from korrigo_backup.rescue.saved.rows import open_saved_rows
from korrigo_backup.rescue.steps.conditions import run_condition
from korrigo_backup.rescue.steps.fitting import load_fitting, stage_fitting
from korrigo_backup.rescue.values.judged_rows import CHOSEN
from korrigo_backup.site.erasures import entries_about

if TYPE_CHECKING:
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.rescue.staged_rows import StagedRows, StagedTable
    from korrigo_backup.site.site import Site


_SHOWN_STEPS = 4
"""Steps that the hint has commands for, the newest."""


def changed_in(dumps: list[Artifact], table: str) -> list[str]:
    """Return the names of the dumps in which a table differs from the dump before, by the manifests.

    Refused if a manifest does not tell.
    """
    states = list(saved_tables(dumps, {table}))
    if not states or states[0].source != dumps[0].name:
        raise Refused(
            f"{dumps[0].name} has no manifest: which later backup differs is not known",
            hint="name the first backup of after the accident: --accident ARTIFACT",
        )
    found = []
    for former, state in pairwise(states):
        known, present = former.tables.get(table), state.tables.get(table)
        if present is None or known is None or present[0] != known[0]:
            found.append(state.source)
            continue
        if state.rule != former.rule or state.rule is None or not known[1] or not present[1]:
            raise Refused(
                f"the manifest of {state.source} does not tell whether {table} differs",
                hint="name the first backup of after the accident: --accident ARTIFACT",
            )
        if present[1] != known[1]:
            found.append(state.source)
    return found


def several_steps(table: str, dump: Artifact, changed: list[Artifact]) -> Refused:
    """Return the error for a table that changed more than once since a dump, with the choices."""
    names = [dump.name, *(one.name for one in changed)]
    choices = [f"--from {quote(former)} --accident {quote(name)}" for former, name in pairwise(names)]
    choices.append(f"--from {quote(names[-1])}, if it happened after the newest backup")
    return Refused(
        f"{table} changed in more than one step since {dump.name}, and only one of them is the accident:"
        f" {listed([f'until {one.name}' for one in changed])}",
        hint=f"name the step ({'; '.join(choices[-_SHOWN_STEPS:])});"
        f" korrigo-backup history --table {quote(table)} shows them",
        id_="revert.steps",
    )


def load_without_erased(site: Site, rows: StagedRows, name: str, dump: Artifact) -> tuple[StagedTable, int]:
    """Load a table of a dump without the rows that were erased on request, or depend on such; return their number, too.

    Raises as `with_key`, and UnreadableLedger.
    """
    names, step = {name}, load_fitting
    if entries_about(site, dump):
        relations = described_relations(site, rows.session, rows.live)
        names |= tables_to_judge(site, dump, names, relations)
        step = stage_fitting
    with open_saved_rows(dump, site.postgres.access) as saved:
        saved.read({one: partial(step, rows, rows.live[one]) for one in names if one in rows.live})
    numbers = take_out(site, dump, rows)
    return with_key(rows, name, dump), numbers.get(name, 0)


def with_key(rows: StagedRows, name: str, dump: Artifact) -> StagedTable:
    """Return the staged table; NotFound if the dump has none, Refused without a key."""
    staged = rows.tables.get(name)
    if staged is None:
        raise NotFound(
            f"{dump.name} has no table {name}",
            hint=f"korrigo-backup history --table {quote(name)} shows since when it is there",
            id_="rescue.no_table",
        )
    if not staged.has_key:
        raise Refused(
            f"the table {name} has no key that is in the backup, too: which row is which cannot be told",
            hint=f"korrigo-backup plan {quote(dump.name)} shows the restore of the whole",
            id_="revert.no_key",
        )
    return staged


def comparable_columns(staged: StagedTable) -> tuple[str, ...]:
    """Return the columns whose values can be put back: those of both sides, but for the key and computed columns."""
    return tuple(name for name in staged.columns if name not in {*staged.key, *staged.live.fixed})


def choose_rows(session: Session, staged: StagedTable, where: str, dump: Artifact) -> None:
    """Mark the rows of the backup for which a condition holds; UsageError if it is no SQL or writes.

    NotFound if it holds for none: often it names the values of the accident, which the backup does not have.
    """
    session.run(f"ALTER TABLE {staged.then} ADD {CHOSEN} bool NOT NULL DEFAULT {'false' if where else 'true'}")
    if where:
        alias = identifier(staged.live.table)
        run_condition(session, f"UPDATE {staged.then} AS {alias} SET {CHOSEN} = true", where, staged.live.name)
        if not session.ask(f"SELECT to_json(EXISTS (SELECT FROM {staged.then} WHERE {CHOSEN}))", bool):
            raise NotFound(
                f"the condition holds for no row of {staged.live.name} in {dump.name}: it is about the rows as they"
                " were then, not as they are now",
                hint=f"name the rows in --where by their key: {', '.join(staged.key)}",
                id_="revert.nothing",
            )
