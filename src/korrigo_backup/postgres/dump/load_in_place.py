"""The `sql` kind loaded in place: the content of a live database is replaced and proven inside one transaction.

Never `psql --single-transaction`: that would commit half a load when the process that feeds it is killed. Here the
COMMIT is sent last, by us; the end of our output without it rolls back everything.
"""

from __future__ import annotations

from contextlib import nullcontext
from enum import Enum, auto
from typing import IO, TYPE_CHECKING

from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.errors import ProofFailed, Refused
from korrigo_backup.postgres.difference import Acceptance, saved, some
from korrigo_backup.postgres.digest import Snapshot, known_rule, prove_all
from korrigo_backup.postgres.dump.edit import edited, without
from korrigo_backup.postgres.dump.extension_rows import KEPT_TABLES, diverted
from korrigo_backup.postgres.dump.foreign import as_data
from korrigo_backup.postgres.dump.guard import FAILED, failures, guarding
from korrigo_backup.postgres.dump.place import naming, reading
from korrigo_backup.postgres.dump.proof import differences, prove_taken, undressing
from korrigo_backup.postgres.dump.scan import Sort
from korrigo_backup.postgres.emptying import EMPTY, KEPT_EXTENSIONS
from korrigo_backup.postgres.session_settings import PROVING
from korrigo_backup.system.streams import HashingReader, gunzip

if TYPE_CHECKING:
    from collections.abc import Callable

    from korrigo_backup.artifact.manifest import DatabaseProof, TableProof
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.postgres.dump.guard import Edit
    from korrigo_backup.postgres.dump.scan import ScanResult

# If other sessions cannot be kept out of the database, no other session writes from here on.
_LOCK_TABLES = """
DO $lock$
DECLARE
  one regclass;
BEGIN
  FOR one IN
    SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND pg_has_role(c.relowner, 'USAGE')
    ORDER BY c.oid
  LOOP
    EXECUTE format('LOCK TABLE ONLY %s IN EXCLUSIVE MODE', one);
  END LOOP;
END $lock$
"""

_BEGIN = f"{PROVING} BEGIN; SET LOCAL maintenance_work_mem = '256MB'"
_AGAIN = f"RESET SESSION AUTHORIZATION; {PROVING} SET client_encoding = 'UTF8'"
"""A dump changes settings of its session; the proof is made under the usual settings."""

_TRANSACTION = "SELECT to_json(txid_current()::text)"


class InPlacePhase(Enum):
    """A phase of a restore in place: all of it is one transaction."""

    LOAD = auto()
    PROVE = auto()
    COMMIT = auto()


class Replacing:
    r"""A dump that is to replace the content of the database of a session.

    Arguments: the open file of a verified dump, its checksum and scan, the proof to compare with, and sorts of
    statements to leave out. A `foreign` dump is rewritten first (`foreign.py`); `restricted`: psql knows
    `\restrict`. Differences named in `accept` are reported as losses.
    """

    def __init__(
        self,
        file: IO[bytes],
        name: str,
        sha256: str,
        scan: ScanResult,
        expected: DatabaseProof,
        *sorts: Sort,
        accept: Acceptance,
        report: Callable[[Finding], None],
        foreign: bool = False,
        restricted: bool = False,
        is_open: bool = False,
    ) -> None:
        self._file = file
        self._name = name
        self._sha256 = sha256
        self._scan = scan
        self._expected = expected
        self._sorts = (Sort.TRANSACTION, *sorts)
        self._accept = accept
        self._report = report
        self._foreign = foreign
        self._restricted = restricted
        self._is_open = is_open
        self.with_path = False
        """Whether the dump is loaded with the search path of the saved database."""

    def run(
        self,
        session: Session,
        *,
        present: DatabaseProof | None,
        listen: Callable[[InPlacePhase], None],
        proven: Callable[[Session], None] = lambda _: None,
    ) -> tuple[TableProof, ...]:
        """Replace, prove, commit; until the commit any error leaves the old content.

        `present` is the proof of the present content: if the content differs from it, another session has written
        since, and Refused is raised. `listen` is called with each phase before it begins, `proven` with the session
        between the proof and the commit. Raises ProofFailed, KorrigoBackupError.
        """
        session.run(_BEGIN)
        session.adapt()
        transaction = session.ask(_TRANSACTION, str)
        if self._is_open:
            session.run(_LOCK_TABLES)
        if present:
            _require_unchanged(Snapshot(session, "", present.search_path), present)
        session.run(EMPTY)
        for statement in undressing(self._expected, "schema"):
            session.run(statement)
        listen(InPlacePhase.LOAD)
        self._load(session)
        listen(InPlacePhase.PROVE)
        with reading(self._name) if self._foreign else nullcontext():
            tables = self._proven(session)
        if session.ask(_TRANSACTION, str) != transaction:
            raise ProofFailed(
                f"{self._name} has ended the transaction that it was loaded in",
                hint="it is not made by pg_dump; go back: korrigo-backup rollback --to safety --in-place",
            )
        proven(session)
        listen(InPlacePhase.COMMIT)
        session.run("COMMIT")
        return tables

    def _load(self, session: Session) -> None:
        self._file.seek(0)
        reader = HashingReader(self._file)
        pieces = gunzip(reader, self._name)
        edits = self._edits(session)
        script = edited(pieces, edits, self._name)
        if self._foreign:
            script = as_data(script, self._name, {*self._sorts, Sort.EXTENSION_COMMENT})
        with naming(self._file, self._name, edits) if self._foreign else nullcontext():
            session.feed(script, restricted=self._restricted)
        for _ in reader:  # bytes after the last gzip member count for the checksum, too
            pass
        if reader.sha256 != self._sha256:
            raise ProofFailed(
                f"{self._name} changed while it was read", hint="find the program that writes to it, then retry"
            )

    def _edits(self, session: Session) -> tuple[Edit, ...]:
        """Leave out the rows and comments of extensions that stay: an administrator has made them."""
        kept = tuple(f"COMMENT ON EXTENSION {name} IS".encode() for name in session.ask(KEPT_EXTENSIONS, list[str]))
        comments = tuple(p for p in self._scan.without(Sort.EXTENSION_COMMENT) if p[1].startswith(kept))
        made = guarding(self._scan, self._expected.search_path, without=self._sorts, with_path=self.with_path)
        rows = diverted(self._scan, map(normal_name, session.ask(KEPT_TABLES, list[str])))
        return (*made, *without(comments), *rows)

    def _proven(self, session: Session) -> tuple[TableProof, ...]:
        failed = failures(session.run(f"SELECT {FAILED}").rstrip(b"\n"))
        session.run(_AGAIN)
        session.adapt()
        for statement in undressing(self._expected, "extension"):
            session.run(statement)
        taken = Snapshot(session, "", self._expected.search_path)
        return prove_taken(taken, self._expected, accept=self._accept, report=self._report, failed=failed)


def _require_unchanged(taken: Snapshot, present: DatabaseProof) -> None:
    tables = prove_all(taken, rule=known_rule(present.digest))
    if found := saved(differences(taken, present, tables)):
        words = some([one.message for one in found])
        raise Refused(
            f"another program has written to the database since its safety backup was made: {words}",
            hint="stop the programs that write to it ([services] stop), then run the restore again",
        )
