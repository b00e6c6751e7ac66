"""The one transaction in which rows of the live database change, and its record."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.errors import Interrupted, KorrigoBackupError, PartlyDone, Refused, Unreachable
from korrigo_backup.postgres.site_path import TO_SITE_PATH
from korrigo_backup.postgres.sql import json_numbers
from korrigo_backup.recovery.django import committed
from korrigo_backup.recovery.undelete import (
    DONE,
    PENDING,
    discard_staged,
    forget,
    forget_oldest,
    records,
    remove_files,
    turn,
)
from korrigo_backup.rescue.closure import PICKED
from korrigo_backup.rescue.staged_rows import OVER
from korrigo_backup.run.undo import all_or_nothing
from korrigo_backup.system.files import explained

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from korrigo_backup.postgres.client import Session
    from korrigo_backup.rescue.points import Points
    from korrigo_backup.rescue.staged_rows import StagedTable
    from korrigo_backup.site.site import Site


class EndUnknown(Unreachable):
    """The connection was lost while the server committed, and the server does not answer."""


@dataclass(frozen=True)
class RecordPlace:
    """Where an undelete is recorded, under which stamp, and where its files come from."""

    directory: Path
    points: Points
    stamp: str


@contextmanager
def recorded_change(site: Site, place: RecordPlace, stamp: str, done: str) -> Iterator[None]:
    """Do the block all or nothing: it writes a record before it commits, and afterwards the record is the way back.

    An error in the block removes the record and the files that are not committed. `done` names the lasting change if
    only the record could not be finished (PartlyDone).
    """
    with all_or_nothing() as undo:
        undo.push("the record and the files of this run", lambda: _take_back(site, place.directory, stamp))
        try:
            yield
        except EndUnknown:
            undo.forget()  # the record stays: the next run asks the server again, and finishes or takes back
            raise
    with partly(done):
        turn(place.directory, stamp, PENDING, DONE)
        with explained("remove the staged directory"):
            _discard(site, place.directory, stamp)
        forget_oldest(site, place.directory)


def transaction_number(session: Session) -> str:
    """Return the number by which the server remembers how the open transaction ends."""
    return session.ask("SELECT to_json(pg_current_xact_id()::text)", str)


def horizon(session: Session) -> str:
    """Return the number of the oldest transaction in this database that has not ended: all before it have."""
    session.run("SELECT pg_stat_clear_snapshot()")
    return session.ask(_HORIZON, str)


# A transaction with an older number than ours may end after it. One inside of another is newer than the other.
_HORIZON = """
SELECT to_json(x.number::text) FROM (
  SELECT pg_snapshot_xmax(pg_current_snapshot())::xid AS number
  UNION ALL SELECT backend_xid FROM pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL
  UNION ALL SELECT transaction FROM pg_prepared_xacts WHERE database = current_database()
) x ORDER BY age(x.number) DESC LIMIT 1
"""


def commit(site: Site, session: Session, transaction: str) -> None:
    """Commit; an error or a signal meanwhile is none if the server says that it has committed.

    Raises ErasedMeanwhile, EndUnknown if the server cannot be asked.
    """
    with site.ledger.unchanged() if site.ledger else nullcontext():
        _commit(site, session, transaction)


def _commit(site: Site, session: Session, transaction: str) -> None:
    try:
        session.run("COMMIT")
    except (KorrigoBackupError, Interrupted, KeyboardInterrupt):
        session.terminate()
        try:
            stays = committed(site.postgres, transaction)
        except KorrigoBackupError as problem:
            raise EndUnknown(
                f"nobody knows yet whether the change was committed: {problem.message}",
                hint="let the database answer again, then: korrigo-backup doctor --fix",
                state="the record of the change stays: the next command asks the server, then finishes or undoes it",
            ) from None
        if not stays:
            raise


def in_steps(*steps: Sequence[tuple[str, str]]) -> str:
    """Return one statement that carries out changes, each with a name, and counts the rows of each.

    Each change ends with a condition. Those of a step wait for all of the steps before. The server looks at foreign
    keys when the statement ends. Triggers run with the site's search path, which holds afterwards, too: the caller
    leaves it (`FROM_SITE_PATH`).
    """
    parts: list[tuple[str, str]] = []
    for step in steps:
        waits = "".join(f" AND (SELECT count(*) FROM {name}) >= 0" for name, _ in parts)
        parts += [(name, f"{name} AS ({change}{waits} RETURNING 1)") for name, change in step]
    counts = json_numbers(f"(SELECT count(*) FROM {name})" for name, _ in parts)
    return f"WITH {', '.join(part for _, part in parts)} SELECT CASE WHEN {TO_SITE_PATH} THEN {counts} END"


def inserted_lines(tables: Mapping[int, StagedTable]) -> str:
    """Return the query for the lines of the record: one for each inserted row; tables have their number in its head."""
    return " UNION ALL ".join(
        f"SELECT json_build_object('table', {number}, 'key', {one.key_text('g')},"
        f" 'hash', {content_hash(one.recorded_content('g'))}::text) FROM {one.gone} g WHERE g.{PICKED} AND NOT g.{OVER}"
        for number, one in tables.items()
    )


def changed_meanwhile() -> Refused:
    """Return the error for live rows that are not those of the plan any more."""
    return Refused("the live rows have changed since the plan", hint="run it again: it makes a new plan")


def _discard(site: Site, directory: Path, stamp: str) -> None:
    for one in records(directory, site.name, DONE):
        if one.stamp == stamp:
            discard_staged(site, one)


def _take_back(site: Site, directory: Path, stamp: str) -> None:
    """Remove the files on disk of a run that is not committed."""
    for one in records(directory, site.name, PENDING):
        if one.stamp == stamp:
            remove_files(site, one)
            discard_staged(site, one)
    forget(directory, stamp, PENDING)


@contextmanager
def partly(done: str) -> Iterator[None]:
    """Raise PartlyDone for an error after the commit: the next run does the rest."""
    try:
        yield
    except PartlyDone:
        raise
    except KorrigoBackupError as problem:
        raise PartlyDone(
            f"{done}, but {problem.message}", hint=problem.hint, state=f"{done}; the next run does the rest"
        ) from None


def content_hash(content: str) -> str:
    """Return the expression of the hash of a row's content, by which its undo knows it again."""
    return f"hashtextextended({content}, 0)"
