"""The ways back from a loss, in the order of their own losses: decided here, without input or output.

An offer is made only if its command is in this version.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from shlex import quote
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.counted import counted
from korrigo_backup.rescue.diagnosis.deletions import Deletions, only_replaced
from korrigo_backup.rescue.diagnosis.states import FileState, TableState
from korrigo_backup.rescue.diagnosis.steps import is_many
from korrigo_backup.rescue.history.row_changes import LIVE
from korrigo_backup.rescue.objects import written_object

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence
    from datetime import datetime

    from korrigo_backup.compare.differences import Counted
    from korrigo_backup.rescue.diagnosis.steps import TableStep

UNDELETE, REVERT, RESTORE_TABLE, RESTORE_FILE = "undelete", "revert", "restore --table", "restore --file"
"""The commands, or their options, that not every version has."""

_NAMED = 3
"""Missing rows that a command names one by one."""


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A way back: the data that it brings back, the data that it loses, the site's downtime, the command.

    `table` is that whose rows or values it brings back, `note` a reason for which it may be refused.
    """

    brings: str
    loses: str
    downtime: str
    command: str
    table: str = ""
    note: str = ""


@dataclass(frozen=True)
class RescueFacts:
    """All that the offers are decided on. `point` is the newest restore point, or dump, from before the losses.

    `replaced` are tables with rows that a restore has replaced: they are in its safety backup alone. `steps` are those
    of which a way back is shown, as far as their rows still differ.
    """

    tables: Sequence[TableState]
    files: FileState | None = None
    point: str = ""
    since: str = ""
    """When `point` was made, in words: a restore of it loses all that is newer."""
    replaced: Sequence[TableState] = ()
    steps: Sequence[TableStep] = ()
    references: Sequence[tuple[str, str]] = ()
    """The foreign keys: a table, and the table that its rows refer to."""
    altered: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Columns that are defined otherwise than in the dumps, by table."""


def offers(facts: RescueFacts, commands: Container[str]) -> tuple[Offer, ...]:
    """Return the ways back, that which loses least first; `commands` are those of this version."""
    steps = [one for one in facts.steps if one.is_open]
    states = states_of(facts.tables, steps)
    replaced = only_replaced(facts.replaced, states)
    tops = _tops(states, facts.references)
    found = [made for one, below in tops for made in _of_rows(one, commands, below)]
    found += [
        made
        for one, below in _tops(replaced, facts.references)
        for made in _of_rows(one, commands, below, replaced=True)
    ]
    found += _of_all_values(facts.tables, steps, commands)
    found += [made for one, _ in tops if one in facts.tables for made in _of_table(one, commands)]
    if facts.files:
        found += _of_files(facts.files, commands)
    if facts.point and (facts.tables or steps or (facts.files and facts.files.is_lost)):
        found.append(
            Offer(
                brings="everything as it was then",
                loses=f"all that was entered since {facts.since}, but for a rollback",
                downtime=_SHORT,
                command=f"korrigo-backup restore {quote(facts.point)}",
            )
        )
    unique: dict[str, Offer] = {}
    for offer in found:
        unique.setdefault(offer.command, _noted(offer, facts.altered.get(offer.table, ())))
    return tuple(unique.values())


def _noted(offer: Offer, columns: Sequence[str]) -> Offer:
    """Return an offer with the columns that may not take the values of the backup."""
    if not columns:
        return offer
    words = (
        f"since the backup these columns were changed, or are gone: {', '.join(columns)}. Values that do not fit them"
        " are refused; take that change back first, or restore the point"
    )
    return msgspec.structs.replace(offer, note=words)


def _tops(
    states: Sequence[TableState], references: Sequence[tuple[str, str]]
) -> list[tuple[TableState, tuple[str, ...]]]:
    """Return the tables whose lost rows refer to no other lost rows, each with those below it."""
    lost = Deletions(states, references)
    return [(one, lost.below(one)) for one in states if not lost.above(one)]


def _of_all_values(tables: Sequence[TableState], steps: Sequence[TableStep], commands: Container[str]) -> list[Offer]:
    """Return the reverts. The step of a loss may hold nothing but it: values are those of the steps that changed."""
    reverts = [(one.moment.table, made) for one in steps for made in _of_changed_values(one, commands)]
    in_steps = {table for table, _ in reverts}
    found = [
        made
        for one in tables
        if one.moment.source == LIVE or one.table not in in_steps
        for made in _of_values(one, commands)
    ]
    return [*found, *(made for _, made in reverts)]


NONE = "nothing: no live row is changed"
SERVES = "none, the site serves"
_SHORT = "while the data are swapped: korrigo-backup plan has the seconds"


def _of_rows(
    state: TableState, commands: Container[str], below: Sequence[str], *, replaced: bool = False
) -> list[Offer]:
    """Return the undelete of the rows that a table has lost, or that a restore has replaced."""
    change = state.change
    if change is None or not change.removed or UNDELETE not in commands:
        return []
    keys = change.removed_keys
    if len(change.key) == 1 and change.removed == len(keys) <= _NAMED and not any("…" in key for key in keys):
        what = " ".join(quote(written_object(state.table, [key.partition("=")[2]])) for key in keys)
    else:
        what = f"--table {quote(state.table)}"
    rows = f"{counted(change.removed, 'row')} of {state.table}"
    brings = f"{rows}, which a restore has replaced" if replaced else f"{rows}, and what was deleted with them"
    return [
        Offer(
            brings=f"{brings} (also rows of {', '.join(below)})" if below else brings,
            loses=NONE,
            downtime=SERVES,
            command=f"korrigo-backup undelete {what} --from {quote(state.reference)}",
            table=state.table,
        )
    ]


def _of_values(state: TableState, commands: Container[str]) -> list[Offer]:
    change = state.change
    if change is None or not change.changed or change.lost_columns or REVERT not in commands:
        return []
    if not is_many(change.changed, state.moment.rows_before):
        return []
    return [
        Offer(
            brings=f"the former values of {counted(change.changed, 'row')} of {state.table}",
            loses="the values that these rows have now; those changed again since are left and named",
            downtime=SERVES,
            command=f"korrigo-backup revert --table {quote(state.table)} --from {quote(state.reference)}",
            table=state.table,
        )
    ]


def states_of(tables: Sequence[TableState], steps: Sequence[TableStep]) -> list[TableState]:
    """Return tables that differ, and tables against the state before each step that still has missing rows."""
    return [*tables, *(_state_before(one) for one in steps if one.is_open)]


def _state_before(step: TableStep) -> TableState:
    """Return a table against the state before a step, for the rows that vanished in it."""
    change = step.live if step.change.removed else None
    return TableState(table=step.moment.table, reference=step.moment.former, moment=step.moment, change=change)


def _of_changed_values(step: TableStep, commands: Container[str]) -> list[Offer]:
    moment = step.moment
    if REVERT not in commands or step.live is None or step.live.lost_columns or not step.has_changed_rows:
        return []
    rows = min(step.change.changed, step.live.changed)
    which = f"--from {quote(moment.former)} --accident {quote(moment.source)}"
    return [
        Offer(
            brings=f"the former values of up to {counted(rows, 'row')} of {moment.table}, which changed"
            f" between {_minute(moment.after)} and {_minute(moment.at)}",
            loses="the values that these rows got then; those changed again since are left and named",
            downtime=SERVES,
            command=f"korrigo-backup revert --table {quote(moment.table)} {which}",
            table=moment.table,
        )
    ]


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def _of_table(state: TableState, commands: Container[str]) -> list[Offer]:
    change = state.change
    if change is None or not (change.removed and change.changed) or RESTORE_TABLE not in commands:
        return []
    rows = f"{counted(change.removed, 'missing row')}, and the former values of {counted(change.changed, 'row')}"
    return [
        Offer(
            brings=f"{rows} of {state.table}",
            loses="the values that these rows have now; newer rows stay",
            downtime=SERVES,
            command=f"korrigo-backup restore --table {quote(state.table)} {quote(state.reference)}",
            table=state.table,
        )
    ]


def _of_files(files: FileState, commands: Container[str]) -> list[Offer]:
    missing, changed = files.change.removed, files.change.changed
    if not files.is_lost:
        return []
    if RESTORE_FILE in commands:
        found = []
        if missing.count:
            found.append(
                Offer(
                    brings=counted(missing.count, "missing file"),
                    loses="nothing: no live file is replaced",
                    downtime=SERVES,
                    command=f"korrigo-backup restore {_named(missing)} {quote(files.reference)}",
                )
            )
        if changed.count:
            found.append(
                Offer(
                    brings=f"the former content of {counted(changed.count, 'changed file')}",
                    loses="the content that these files have now, kept for a rollback",
                    downtime=SERVES,
                    command=f"korrigo-backup restore {_named(changed)} --overwrite {quote(files.reference)}",
                )
            )
        return found
    what = ", ".join(
        counted(one.count, noun) for one, noun in ((missing, "missing file"), (changed, "changed file")) if one.count
    )
    return [
        Offer(
            brings=what,
            loses=f"{counted(files.change.added.count, 'newer file')}, kept for a rollback",
            downtime=_SHORT,
            command=f"korrigo-backup restore {quote(files.reference)}",
        )
    ]


def _named(files: Counted) -> str:
    """Return the options that name files, all files of the backup if there are too many to be named."""
    return " ".join(f"--file {quote(one)}" for one in files.first) if files.count <= _NAMED else "--file '*'"
