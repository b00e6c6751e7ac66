"""The end of a Django restore whose run could not record it: its transaction decides, and the server remembers that.

The load of the Django method runs in the site's own process. When the command that serves it dies, it ends by itself:
before the word to go on it rolls everything back, after it the transaction comes to its end within a moment.
"""

from __future__ import annotations

from functools import partial
from operator import not_
from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.artifact.naming import parse
from korrigo_backup.errors import Locked, Refused
from korrigo_backup.postgres.server_error import StatementFailed
from korrigo_backup.recovery.actions import ActionKind, RecoveryAction
from korrigo_backup.run import journal
from korrigo_backup.run.record import Outcome, Verb
from korrigo_backup.site import unfinished
from korrigo_backup.system.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Collection

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.media.port import Tree
    from korrigo_backup.postgres.client import Postgres
    from korrigo_backup.run.record import Record
    from korrigo_backup.site.site import Site

DJANGO = Verb.RESTORE_BY_DJANGO
"""The verb of such a restore in the journal, instead of `restore`."""

PATIENCE_SECONDS = 20.0
"""How long a load whose host has gone may take to end: it notices at once, and a commit is flushed within seconds."""

_PAUSE = 0.2

_LOADS = 0x6B6F7272
"""Key of the advisory lock that a load of the Django method holds in the live database (djangoapp/transaction)."""

_END_LOADS = f"""
SELECT to_json(count(*)) FROM (
  SELECT CASE WHEN pg_has_role(a.usesysid, 'MEMBER') THEN pg_terminate_backend(pid) END
  FROM pg_locks l JOIN pg_stat_activity a USING (pid)
  WHERE l.locktype = 'advisory' AND l.granted AND l.mode = 'ExclusiveLock' AND l.objsubid = 1
    AND (l.classid::bigint << 32 | l.objid::bigint) = {_LOADS} AND a.datname = current_database()) ended
"""

_STATUS = "SELECT to_json(coalesce(pg_xact_status('{0}'), 'forgotten'))"
_IN_THE_FUTURE = "22023"
"""SQLSTATE for a number that is not given out yet: the transaction was not on disk at a power cut, so it never was."""


def committed(server: Postgres, transaction: str) -> bool:
    """Return whether a transaction of the live database was committed; if it is ending, wait for it.

    A transaction that is so old that the server has forgotten it counts as committed: no trace of it is left to undo.
    """
    asked = partial(server.ask, _STATUS.format(int(transaction)), str)
    try:
        status = wait_until(_has_ended, asked, seconds=PATIENCE_SECONDS, pause=_PAUSE)
    except StatementFailed as problem:
        if problem.server.sqlstate == _IN_THE_FUTURE:
            return False
        raise
    if not _has_ended(status):
        raise Locked(
            f"transaction {transaction} of an interrupted run has not ended",
            hint="look for its wait event in pg_stat_activity, then run this again",
        )
    return status != "aborted"


def _has_ended(status: str) -> bool:
    return status != "in progress"


def finish(site: Site) -> list[RecoveryAction]:
    """Let the site's Django finish or undo the restore of a dead process; return the actions.

    Raises Locked while a restore is at work; Refused if no way to run the site's manage.py is configured: only it
    knows.
    """
    media = site.media
    left = unfinished.records(media) if media else []
    if media is None or not left:
        return []
    _wait_for_its_end(media)
    left = unfinished.records(media)
    if any(one.marker is None for one in left):  # it was not at its end, so it can only be undone
        end_load(site.postgres)
    if left and site.django is None:
        raise Refused(
            f"the Django restore of {left[0].stamp} was interrupted; whether its database took it is not known here",
            hint="finish it where the site runs: python manage.py restore --recover",
        )
    if left and site.django:
        site.django.carry_out("restore", "--recover")
    kept = media.kept("before")
    finished, rolled_back = ActionKind.DJANGO_RESTORE_FINISHED, ActionKind.DJANGO_RESTORE_ROLLED_BACK
    return [RecoveryAction(finished if one.stamp in kept else rolled_back, one.stamp) for one in left]


def note(site: Site, catalog: Catalog, taken_back: Collection[str]) -> None:
    """Write into the journal how the newest Django restore ended, if its own run could not write it.

    `taken_back` are the stamps of the restores undone just now.
    """
    ours = (one for one in reversed(journal.read(catalog.directory)) if one.site == site.name)
    newest = next((one for one in ours if one.verb == DJANGO), None)
    if newest is None or newest.outcome in {Outcome.DONE, Outcome.PARTLY, Outcome.CANCELLED}:
        return
    if not newest.transaction:
        if newest.outcome is Outcome.BEGUN:
            end_load(site.postgres)
            ended = replace(newest, outcome=Outcome.FAILED, message="interrupted before its end: all is as it was")
            journal.decided(catalog.directory, site, ended)
        return
    if stamp_of(newest) in taken_back or not committed(site.postgres, newest.transaction):
        ended = replace(newest, transaction="", outcome=Outcome.FAILED, message="interrupted, and undone")
    else:
        message = "interrupted after its end: database and media are new"
        ended = replace(newest, outcome=Outcome.PARTLY, message=message)
    journal.decided(catalog.directory, site, ended)


def stamp_of(record: Record) -> str:
    """Return the stamp of a Django restore: that of its safety backup."""
    named = parse(record.safety)
    return named.stamp if named else ""


def end_load(server: Postgres) -> None:
    """End the session of a load whose process is dead or has been given up; its transaction is rolled back.

    A server does not notice in the middle of a statement that its client has gone, and the locks of the load would
    stay. Raises Locked if it does not end.
    """
    if wait_until(not_, partial(server.ask, _END_LOADS, int), seconds=PATIENCE_SECONDS, pause=_PAUSE):
        raise Locked(
            "a restore by Django is at work on this database",
            hint="wait for its end (pg_stat_activity shows it), then run this again",
        )


def _wait_for_its_end(media: Tree) -> None:
    if wait_until(not_, media.is_held, seconds=PATIENCE_SECONDS, pause=_PAUSE):
        raise unfinished.locked(media, "look at a Django restore under way")
