"""The site's manage.py in the backend's container."""

from __future__ import annotations

import os
import tarfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, TypeVar

from korrigo_backup.errors import ProofFailed
from korrigo_backup.site.manage import (
    BACKUP,
    COMMAND_SECONDS,
    MADE,
    RESTORE,
    SAME_VERSION,
    WORK_SECONDS,
    failure,
    taken_in,
    understood,
)
from korrigo_backup.system.files import CHUNK, create_private, private_directory, write_all
from korrigo_backup.system.progress import Work, under_way
from korrigo_backup.system.run import Command, Completed, ended_after, run, spawn

if TYPE_CHECKING:
    from pathlib import Path

    from korrigo_backup.compose.project import Project
    from korrigo_backup.site.served import Served

T = TypeVar("T")

# In the container: what was made is removed whatever happens. $0 and $@ are the command.
_OUT = """
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT INT TERM HUP
"$0" "$@" --output-dir "$place" >&2; status=$?
if [ "$status" -eq 0 ] || [ "$status" -eq 3 ]; then tar -C "$place" -cf - . || status=1; fi
exit "$status"
"""

_DEPTH = 2
_MOST_FILES = 10
"""A backup is a manifest, a fixture, an archive and its list."""


@dataclass(frozen=True)
class ComposeDjango:
    """`manage.py` in the backend's container: in the running one, or in one of its own while the service is stopped."""

    project: Project
    service: str
    manage: tuple[str, ...]

    @property
    def description(self) -> str:
        """Return the command line."""
        return f"{self.project.shown} exec {self.service} {' '.join(self.manage)}"

    def ask(self, command: str, answer: type[T], *options: str) -> T:
        """Run the command in the container; see the port."""
        done = run(self._call(command, *options), timeout=COMMAND_SECONDS)
        return understood(done, f"{self.description} {command}", answer)

    def carry_out(self, *command: str) -> None:
        """Run the command in the container; see the port."""
        with under_way(Work(name=f"running manage.py {command[0]}")):
            done = run(self._call(*command), timeout=WORK_SECONDS)
        if done.status:
            raise failure(done, f"{self.description} {' '.join(command)}")

    def bring_out(self, target: Path, *options: str) -> None:
        """Stream the backup out of the container, where it is removed whatever happens; see the port."""
        command = self._run("sh", "-c", _OUT, *self.manage, *BACKUP, *options)
        with spawn(command, stdout=True) as process, ended_after(WORK_SECONDS, process):
            try:
                unpack_flat(process.stdout, target)
            except ProofFailed:
                status = process.wait()
                if status not in MADE:
                    raise failure(Completed(status, b"", process.stderr), f"{self.description} backup") from None
                raise
            status = process.wait()
            if status not in MADE:
                raise failure(Completed(status, b"", process.stderr), f"{self.description} backup")

    def take_in(self, served: Served, *options: str) -> None:
        """Serve it through the pipes of the container; see the port."""
        taken_in(self._call(*RESTORE, *options), served, self)

    def _call(self, *command: str) -> Command:
        return self._run(*self.manage, *command)

    def _run(self, *words: str) -> Command:
        running = self.project.is_running(self.service)
        return self.project.exec(self.service, *words) if running else self.project.one_off(self.service, *words)


def unpack_flat(stream: IO[bytes], target: Path) -> None:
    """Write a tar stream that holds one directory of plain files into `target`, each file private.

    Raises ProofFailed for anything else in it: a link, a device, a deeper path, more than a backup has.
    """
    files = 0
    try:
        with tarfile.open(mode="r|", fileobj=stream) as tar:
            for info in tar:
                parts = [part for part in info.name.split("/") if part not in {"", "."}]
                if info.isdir() and len(parts) <= 1:
                    continue
                content = tar.extractfile(info) if info.isreg() and len(parts) == _DEPTH else None
                files += 1
                if content is None or ".." in parts or files > _MOST_FILES:
                    raise ProofFailed(f"{info.name!r} is no part of a Django backup", hint=SAME_VERSION)
                private_directory(target / parts[0])
                with create_private(target / parts[0] / parts[1]) as file:
                    while piece := content.read(CHUNK):
                        write_all(file, piece)
                    os.fsync(file.fileno())
    except (tarfile.TarError, EOFError) as problem:
        raise ProofFailed(f"the output of the container is cut ({problem})", hint=SAME_VERSION) from None
