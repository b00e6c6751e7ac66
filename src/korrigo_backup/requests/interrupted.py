"""Requests whose run has died: decided by the journal and the server, then answered, or handled again.

A look or a plan has changed nothing, so it is made again. An undelete writes the id of its request into the journal
before it begins, and its transaction before it commits: the server knows whether the rows are back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.recovery.django import committed
from korrigo_backup.recovery.recover import exclusive
from korrigo_backup.requests.host import end_request
from korrigo_backup.requests.model import State
from korrigo_backup.requests.records import read_records
from korrigo_backup.run import journal
from korrigo_backup.run.record import Verb

if TYPE_CHECKING:
    from korrigo_backup.requests.host import RequestHost
    from korrigo_backup.requests.records import RequestRecord
    from korrigo_backup.run.record import Record

REQUEST = "request"
"""The key of a request's id among the reasons of an undelete in the journal."""

MOST_TRIES = 3
"""Runs that may die at a request before it is given up."""


def settle_interrupted(host: RequestHost) -> dict[str, KorrigoBackupError]:
    """Decide on each request whose run has died; return the ids of those that have to wait, with the reason.

    Another request that stays `taken` is in the spool, to be handled again. The caller holds the lock of the requests.
    """
    waits = dict[str, KorrigoBackupError]()
    for record in read_records(host.catalog.directory, host.site.name):
        if record.state is State.TAKEN:
            try:
                _settle(host, record)
            except KorrigoBackupError as problem:  # the site is locked, or the server does not answer
                waits[record.id] = problem
    return waits


def _settle(host: RequestHost, record: RequestRecord) -> None:
    ran = _undelete_for(host, record)
    if ran and _took_place(host, ran):
        words = "the rows and files were brought back; the run was interrupted before it could answer"
        end_request(host, record, State.DONE, words)
        host.spool.remove(record.id)
    elif record.tries >= MOST_TRIES:
        words = f"the runs that worked on it were interrupted, {record.tries} times; nothing was changed"
        end_request(host, record, State.FAILED, words, "ask the operator of the host to look at the cause")
        host.spool.remove(record.id)
    elif not host.spool.is_pending(record.id) and record.names_plan:
        words = "the run that carried it out was interrupted, nothing was changed: it waits for approval again"
        end_request(host, record, State.WAITING, words)
    elif not host.spool.is_pending(record.id):
        words = "the run that worked on it was interrupted, and the request is gone"
        end_request(host, record, State.FAILED, words, "ask again")


def _undelete_for(host: RequestHost, record: RequestRecord) -> Record | None:
    """Return the newest undelete of the journal that carried out a request."""
    ran = [
        one
        for one in journal.read(host.catalog.directory)
        if one.verb == Verb.UNDELETE and one.site == host.site.name and one.why.get(REQUEST) == record.id
    ]
    return ran[-1] if ran else None


def _took_place(host: RequestHost, ran: Record) -> bool:
    """Return whether an undelete was committed; its remains are finished or taken back before."""
    if not ran.transaction:
        return False
    with exclusive(host.site, host.catalog, "requests run", listen=host.listen) as (site, _):
        return committed(site.postgres, ran.transaction)
