"""The loaded data of a drill as an anonymised copy: kept on the server, written into a directory, or only tried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.anonymise.export import write_copy
from korrigo_backup.artifact import naming
from korrigo_backup.errors import OriginalsLeft, Refused, UsageError
from korrigo_backup.media.tree import MediaTree
from korrigo_backup.restore.parts import DatabasePart

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from korrigo_backup.anonymise.anonymise import Anonymiser
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.drill.opened import PartLoad
    from korrigo_backup.errors import KorrigoBackupError
    from korrigo_backup.postgres.access import Access
    from korrigo_backup.run.step import Listener


@dataclass(frozen=True)
class MadeCopy:
    """An anonymised copy: the `database` that was kept, "" if none was, and the `directory` that holds it.

    `access` is that of the server. `problem` names the original values that were found, or a rule that does not fit:
    then no copy is left, and the backup is proven all the same.
    """

    findings: tuple[Finding, ...] = ()
    database: str = ""
    access: Access | None = None
    directory: Path | None = None
    problem: KorrigoBackupError | None = None


@dataclass(frozen=True)
class Copying:
    """How the copy is made: `to` is the new directory that it is written into; with `keep` the database is kept."""

    anonymiser: Anonymiser
    to: Path | None = None
    keep: bool = False

    @property
    def stays(self) -> bool:
        """Whether the copy is there after the drill."""
        return self.keep or self.to is not None

    def made(self, loads: Sequence[PartLoad], stamp: str, listen: Listener) -> MadeCopy:
        """Anonymise the loaded data, check them, and write them where that is asked for.

        Raises as `Anonymiser.run`, but for errors of the rules and OriginalsLeft, the `problem` of the result.
        """
        database = next(one.part for one in loads if isinstance(one.part, DatabasePart))
        trees = (one.part.context.site.media for one in loads if not isinstance(one.part, DatabasePart))
        tree = next(trees, None)
        media = tree.beside("stage", stamp) if isinstance(tree, MediaTree) else None
        server = database.context.site.postgres
        staged = naming.stage_database(server.database, stamp)
        try:
            found = self.anonymiser.run(server, staged, media, listen)
        except (OriginalsLeft, Refused, UsageError) as problem:
            return MadeCopy(problem=problem)
        if self.to:
            write_copy(server, staged, media, self.to, listen)
        return MadeCopy(found, access=server.access, directory=self.to)
