"""Whether the erasure ledger can be read: without it no restore can begin, so it is an error long before that night."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.core.counted import counted
from korrigo_backup.core.finding import error, ok
from korrigo_backup.erasure.entry import Subject
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.run import journal
from korrigo_backup.run.record import Outcome, Verb

if TYPE_CHECKING:
    from pathlib import Path

    from korrigo_backup.core.finding import Finding
    from korrigo_backup.erasure.ledger import ErasureLedger


def ledger_findings(ledger: ErasureLedger, directory: Path) -> tuple[Finding, ...]:
    """Return whether the ledger can be read; none if nothing was ever recorded. `directory` is that of the backups."""
    try:
        entries = [one for one in ledger.read() if one.subject is not Subject.RULES]
    except KorrigoBackupError as problem:
        return (error("erasure.ledger", f"no restore can begin: {problem.message}", problem.hint),)
    if entries:
        return (ok("erasure.ledger", f"the erasure ledger can be read: {counted(len(entries), 'entry', 'entries')}"),)
    recorded = [one for one in journal.read(directory) if one.verb == Verb.FORGET]
    if any(one.outcome is Outcome.DONE for one in recorded):
        words = f"the erasure ledger {ledger.path} is gone: {counted(len(recorded), 'run')} of forget wrote into it"
        return (error("erasure.ledger", words, "take it from the newest recovery kit, or from your copy"),)
    return ()
