"""Dumps opened for a restore or a check: every byte verified, then used through the same open file."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from korrigo_backup.artifact.components import usable_manifest
from korrigo_backup.artifact.manifest import DatabaseProof, TableProof, with_normal_names
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.counted import counted as with_noun
from korrigo_backup.core.finding import Finding, ok
from korrigo_backup.postgres.dump import create as sqldump
from korrigo_backup.postgres.dump.other_tools import is_ordinary, made_ordinary
from korrigo_backup.postgres.dump.place import require_plain_transactions
from korrigo_backup.postgres.dump.scan import TrailingText
from korrigo_backup.system.files import explained, open_plain, sha256_of_open
from korrigo_backup.verify.foreign import code, local_tool, require_loadable, uncounted
from korrigo_backup.verify.members import require_member, unproven

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.postgres.access import Access
    from korrigo_backup.postgres.dump.scan import ScanResult


@dataclass(frozen=True)
class SqlSource:
    """A verified dump, open for loading. `expected` is the proof for the loaded data.

    `scan` is the result of reading it, with the places of statements that a load may have to leave out.
    """

    file: IO[bytes]
    sha256: str
    scan: ScanResult
    expected: DatabaseProof
    findings: tuple[Finding, ...]

    @property
    def by_content(self) -> bool:
        """Whether the rows are proven after a load by their content, and not by their number alone."""
        return bool(self.expected.digest)


@contextmanager
def open_sql(artifact: Artifact, access: Access | None = None) -> Iterator[SqlSource]:
    """Open and verify a dump; the file stays open, so that the loaded bytes are the verified ones.

    A dump of another tool is converted first, by the clients that `access` reaches. Raises ProofFailed if it is
    damaged, cut, not a dump, or differs from its manifest; UsageError for a dump that cannot be restored here.
    """
    with ExitStack() as stack:
        with explained(f"read {artifact.path}"):
            file = _opened(artifact, access, stack)
            try:
                source = _verified_sql(artifact, file)
            except TrailingText:
                if artifact.manifest is not None:
                    raise
                source = _verified_sql(artifact, _made_ordinary(artifact, access, stack))
        yield source  # outside of `explained`: an error from here on is no error of reading


@contextmanager
def open_unread(artifact: Artifact, access: Access | None = None) -> Iterator[IO[bytes]]:
    """Open a dump whose checksum is that of its manifest; its text is not read, so it is quicker than `open_sql`.

    For text that is looked at and never loaded. A dump of another tool is converted first. Raises ProofFailed for a
    file that is not the saved file, UsageError for a dump that cannot be converted.
    """
    with ExitStack() as stack:
        with explained(f"read {artifact.path}"):
            file = _opened(artifact, access, stack)
            if manifest := usable_manifest(artifact):
                require_member(artifact, manifest, artifact.name, *sha256_of_open(file))
                file.seek(0)
        yield file


def _opened(artifact: Artifact, access: Access | None, stack: ExitStack) -> IO[bytes]:
    """Open a dump; a dump without a manifest may be of any form, and is made ordinary."""
    if not artifact.path.is_dir():
        file = stack.enter_context(open_plain(artifact.path))
        if artifact.manifest is not None or artifact.problem or is_ordinary(file):
            return file
    return _made_ordinary(artifact, access, stack)


def _made_ordinary(artifact: Artifact, access: Access | None, stack: ExitStack) -> IO[bytes]:
    return stack.enter_context(made_ordinary(artifact.path, access.tool if access else local_tool))


def _verified_sql(artifact: Artifact, file: IO[bytes]) -> SqlSource:
    checked = sqldump.check(file, artifact.name)
    manifest = usable_manifest(artifact)
    if artifact.authenticity is not Authenticity.AUTHENTIC:
        require_plain_transactions(file, artifact.name, checked.scan)
    if manifest is None or manifest.database is None:
        require_loadable(artifact.path, checked.scan)
        counted = tuple(TableProof(name, rows) for name, rows in sorted(checked.scan.rows.items()))
        proof = DatabaseProof(
            name="",
            server_version=checked.scan.server_version or "",
            client_version=checked.scan.client_version or "",
            digest=None,
            tables=counted,
            sequences=tuple(checked.scan.sequences.values()),
        )
        findings = (unproven(artifact), *uncounted(artifact.name, checked.scan), *code(artifact.name, checked.scan))
        return SqlSource(file, checked.sha256, checked.scan, proof, findings)
    require_member(artifact, manifest, artifact.name, checked.sha256, checked.size)
    found = ok(
        "artifact.verified",
        f"{artifact.name}: {with_noun(manifest.database.rows, 'row')}, checksum and end mark as saved",
    )
    ours = artifact.authenticity is Authenticity.AUTHENTIC
    later = () if ours else tuple(code(artifact.name, checked.scan))
    return SqlSource(file, checked.sha256, checked.scan, with_normal_names(manifest.database), (found, *later))
