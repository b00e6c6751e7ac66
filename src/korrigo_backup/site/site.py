"""One running platform: a database, a media tree, the services that use them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from korrigo_backup.core.finding import Finding, loss, warning
from korrigo_backup.errors import KorrigoBackupError, UsageError
from korrigo_backup.run.step import AwaitingHealth, ServicesHealthy
from korrigo_backup.system.files import explained, fsync_directory, private_directory, write_private
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from pathlib import Path

    from korrigo_backup.artifact.identity import FoundIdentity
    from korrigo_backup.core.secret import Secret
    from korrigo_backup.core.site_description import PathColumn
    from korrigo_backup.erasure.ledger import ErasureLedger
    from korrigo_backup.media.port import Tree
    from korrigo_backup.postgres.client import Postgres
    from korrigo_backup.run.step import Listener
    from korrigo_backup.site.health import Health
    from korrigo_backup.site.manage import DjangoCommands
    from korrigo_backup.site.services import Services


@dataclass(frozen=True)
class StoreOptions:
    """How media backups use the media store ([media] store, reread_nights, link_unchanged).

    `use` is None if the size of the tree decides.
    """

    use: bool | None = None
    reread_nights: int = 30
    link_unchanged: bool = False

    def takes(self, files: int, size: int) -> bool:
        """Return whether a tree of so many files and bytes goes to the media store."""
        return self.use if self.use is not None else is_large(files, size)


def is_large(files: int, size: int) -> bool:
    """Return whether a whole archive of so many files and bytes takes too long for each night."""
    return files > _LARGE_FILES or size > _LARGE_BYTES


_LARGE_FILES, _LARGE_BYTES = 20_000, 1_000_000_000


@dataclass(frozen=True)
class Site:
    """A site. `archive_root` is the beginning of media paths inside an archive.

    Name and environment (`production`, `staging`) name the site of a backup; `columns` are those whose values are paths
    of media files; `revision` is that of the code, if it is known. `secrets` are redacted from all texts about it.
    `django` is None if there is no way to run the site's management commands.
    """

    name: str
    postgres: Postgres
    media: Tree | None
    archive_root: str
    services: Services
    environment: str = "production"
    columns: tuple[PathColumn, ...] = ()
    revision: str | None = None
    secrets: tuple[Secret, ...] = ()
    django: DjangoCommands | None = None
    accepted_links: tuple[str, ...] = ()
    """Paths (with * and ?) of symbolic links out of the media tree that need no warning."""
    store: StoreOptions = StoreOptions()
    standing: FoundIdentity | None = None
    """Which site of the backup directory this is; known while a run has locked the site."""
    ledger: ErasureLedger | None = None
    """The ledger of erasures on request; None where no restore erases."""
    stopped: Path | None = None
    """A file that is there while the services are stopped by us: after a crash the next command starts them."""

    @property
    def cluster(self) -> str:
        """The identifier of the database cluster; "" if it is not known, as for a role that may not read it."""
        return (self.standing.owner.system if self.standing else None) or ""

    def stop_services(self) -> None:
        """Stop the services that write and run. Their names are on disk before the first of them is stopped.

        `start_services` takes the time of that file as the begin of their last stop.
        """
        names = self._stopped_names() or self.services.running()
        if self.stopped and self.services.configured:
            with explained("note that the services are stopped"):
                if self.stopped.exists():
                    os.utime(self.stopped)
                else:
                    private_directory(self.stopped.parent)
                    write_private(self.stopped, "\n".join(names).encode())
                    fsync_directory(self.stopped.parent)
        self.services.stop(names)

    def start_services(self) -> tuple[str, ...]:
        """Start the services that were stopped, and no others; return their names.

        The file with their names is removed when all of them run again. Raises KorrigoBackupError if a service does not
        run.
        """
        names = self._stopped_names()
        self.services.start(names, stop_begun=self._stop_begun())
        if self.stopped:
            with explained("note that the services are started"):
                self.stopped.unlink(missing_ok=True)
        return names

    @phase("health")
    def await_health(
        self, started: tuple[str, ...], before: Health, listen: Listener, *, keep: bool = False
    ) -> tuple[Finding, ...]:
        """Wait until the services that were started are healthy; `listen` hears their names, the limit and the time.

        Returns a warning about those that are not healthy and were not `before` they were stopped either. Others raise
        KorrigoBackupError, or with `keep` are a loss.
        """
        began, names = time.monotonic(), ", ".join(started) or "the site"

        def on_wait(limit: float) -> None:
            listen(AwaitingHealth(names, limit))

        try:
            ill = self.services.await_health(started, before, on_wait)
        except KorrigoBackupError as problem:
            if not keep:
                raise
            return (loss("services.unhealthy", f"kept, as --keep asks: {problem.message}", problem.hint),)
        if self.services.health_known and not ill:
            listen(ServicesHealthy(time.monotonic() - began))
        return tuple(
            warning("services.unwell", f"not healthy, as before: {words}", "see the services' logs") for words in ill
        )

    def _stopped_names(self) -> tuple[str, ...]:
        if self.stopped is None or not self.stopped.exists():
            return ()
        with explained("read which services are stopped"):
            return tuple(self.stopped.read_text(encoding="utf-8").split())

    def _stop_begun(self) -> datetime | None:
        if self.stopped is None or not self.stopped.exists():
            return None
        with explained("read when the services were stopped"):
            return datetime.fromtimestamp(self.stopped.stat().st_mtime, UTC)

    @property
    def left_stopped(self) -> bool:
        """Whether a run has stopped the services and not started them again."""
        return self.stopped is not None and self.stopped.exists()

    def required_media(self) -> Tree:
        """Return the media tree; raises UsageError when none is configured, NotFound when it is not there."""
        tree = self.configured_media()
        tree.require()
        return tree

    def configured_media(self) -> Tree:
        """Return the media tree, which may not be there yet; raises UsageError when none is configured."""
        if self.media is None:
            raise UsageError(
                "the media directory is not configured",
                hint="set MEDIA_ROOT, or [media] root in the configuration",
            )
        return self.media
