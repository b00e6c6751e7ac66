"""`--dry-run` and `--yes`: a verb ends with its plan, before its first change, or goes on without a question."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.cli.output import say
from korrigo_backup.cli.program.document import Document, add_to_document

if TYPE_CHECKING:
    from collections.abc import Iterator


def changes(dry_run: bool) -> bool:  # noqa: FBT001 - typer's way
    """Note, as the callback of the option `--dry-run`, that the verb changes something."""
    if Document.current:
        Document.current.has_effect = True
    return dry_run


DryRun = Annotated[bool, typer.Option("--dry-run", callback=changes, help="Show what would be done, and stop.")]
"""The option of every verb that changes something and asks or has a plan."""

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask; for automation.")]
"""The option of every verb that asks before it changes something."""


class PlanShown(Exception):
    """The plan of a dry run was printed: nothing more is to be done."""


@contextlib.contextmanager
def ends_at_plan() -> Iterator[None]:
    """End the block at PlanShown, and print that no change was made."""
    try:
        yield
    except PlanShown:
        say_unchanged()


def say_unchanged() -> None:
    """Print the end of a dry run."""
    add_to_document(applied=False)
    say("No change was made (--dry-run)")
