"""Answers that show rows are withdrawn when something is erased: they would show it for the days that they stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.erasure.entry import Subject
from korrigo_backup.erasure.ledger import UnreadableLedger
from korrigo_backup.requests.model import State
from korrigo_backup.requests.records import find_record, write_record

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from korrigo_backup.erasure.ledger import ErasureLedger
    from korrigo_backup.requests.spool import Spool

_ALL = 100_000
_SHOWING = frozenset({State.PLANNED, State.SHOWN, State.CHANGED})
"""States that end when the rows of the answer are withdrawn; a plan that was carried out stays so."""

_WHY = "data were erased on request since this was shown: it is not shown any more"
_HINT = "ask again"


def withdraw_answers(spool: Spool, directory: Path, since: datetime | None = None) -> int:
    """Take rows, files and plans out of the answers; return out of how many.

    If `since` is given, out of those of that time or before. `directory` is that of the backups, with the host's own
    records. A plan that was withdrawn cannot be carried out.
    """
    number = 0
    spool.forget_files(since.timestamp() if since else float("inf"))
    for answer in spool.newest_answers(_ALL):
        if not (answer.found or answer.plan or answer.file) or (since is not None and answer.at > since):
            continue
        number += 1
        if not _is_showing(answer.state):
            spool.answer(replace(answer, plan=None, found=None, file=None))
            continue
        record = find_record(directory, answer.id)
        if record is not None and _is_showing(record.state):
            write_record(directory, replace(record, state=State.REFUSED, message=_WHY))
        bare = replace(
            answer, state=State.REFUSED, plan=None, found=None, file=None, digest="", message=_WHY, hint=_HINT
        )
        spool.answer(bare)
    return number


def _is_showing(state: State) -> bool:
    return state in _SHOWING


def withdraw_erased(spool: Spool, directory: Path, ledger: ErasureLedger | None) -> None:
    """Withdraw the answers from before the newest entry of the ledger; an unreadable ledger stops each look anyway."""
    try:
        entries = ledger.read() if ledger else ()
    except UnreadableLedger:
        return
    if newest := max((one.time for one in entries if one.subject is not Subject.RULES), default=None):
        withdraw_answers(spool, directory, newest)
