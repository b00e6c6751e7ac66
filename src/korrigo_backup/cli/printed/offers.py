"""Differences of tables and the ways back from them, printed for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.cli.output import say, say_data
from korrigo_backup.cli.printed.history import minute
from korrigo_backup.core.excerpt import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.compare.differences import RowChange
    from korrigo_backup.rescue.diagnosis.offers import Offer
    from korrigo_backup.rescue.diagnosis.states import TableState
    from korrigo_backup.rescue.diagnosis.steps import TableStep


def say_table_state(state: TableState) -> None:
    """Print the rows of a live table that differ from a saved state."""
    change = state.change
    if change is None:
        say(f"  {state.table}: gone, with {state.moment.rows_before} rows since {state.reference}")
        return
    least = "" if change.exact else "at least "
    say(
        f"  {state.table}: {least}{change.removed} removed, {change.changed} changed, {change.added} added"
        f" since {state.reference}"
    )
    if change.removed_keys:
        say_data(f"    - {listed(change.removed_keys)}")
    _say_lost_columns(change, state.reference)
    if state.is_changed_as_a_whole:
        say("    ⚠️ most of its rows changed: see whether one statement did it")


def _say_lost_columns(change: RowChange, former: str) -> None:
    if change.lost_columns:
        say(f"    ⚠️ columns that are gone, their values are in {former}: {listed(change.lost_columns)}")


def say_step(step: TableStep, name: str = "") -> None:
    """Print the rows that changed in a step from dump to dump, with the table's name if that does not stand above."""
    moment, change = step.moment, step.change
    least = "" if change.exact else "at least "
    say(
        f"{minute(moment.after)} to {minute(moment.at)}  {f'{name}: ' if name else ''}{least}{change.changed} changed,"
        f" {change.removed} removed, {change.added} added, of {moment.rows_before} rows"
    )
    _say_lost_columns(change, moment.former)
    if step.is_large:
        say("    ⚠️ many of its rows at once: one statement, an import or a restore")
    elif step.is_growth:
        say("    new rows only: ordinary growth")
    if not step.is_growth and step.live is not None and not step.is_open:
        say("    its rows are as before this step again")


def say_offers(made: Sequence[Offer]) -> None:
    """Print ways back: gain, loss, downtime and command of each."""
    for number, one in enumerate(made, 1):
        say(f"{number}. brings back {one.brings}")
        say(f"   loses       {one.loses}")
        say(f"   downtime    {one.downtime}")
        if one.note:
            say(f"   ⚠️ {one.note}")
        say_data(f"   {one.command}")
