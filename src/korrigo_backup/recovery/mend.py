"""Repair what is safe to repair without a question: modes, missing directories, leftovers of dead runs.

No artifact, no previous copy and no live data is removed. What needs a decision stays for a person: a missing media
directory may be a volume that is not mounted, and the mode of `.env` decides what the site itself can read.
"""

from __future__ import annotations

import stat
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from korrigo_backup.artifact.naming import (
    KIT,
    MANIFEST_SUFFIX,
    MEDIA_STORE,
    MEMBERS_SUFFIX,
    PARTIAL_PREFIX,
    beside,
    is_beside,
    parse,
)
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.errors import KorrigoBackupError, Locked
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.recovery.recover import exclusive, recover_places
from korrigo_backup.run import journal
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import Mended, RecoveryLeft
from korrigo_backup.system import files
from korrigo_backup.system.files import FILE_MODE, explained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.postgres.client import Postgres
    from korrigo_backup.run.journal import JournaledSite
    from korrigo_backup.run.step import Listener, Step
    from korrigo_backup.site.site import Site

MENDABLE = frozenset({"artifact.mode", "backup.mode", "recover.left", "services.stopped"})
"""Findings of `doctor` that `mend` can clear."""

FIX = "korrigo-backup doctor --fix"

_OTHERS = 0o077
_NAMED = 3


def leftovers(catalog: Catalog, server: Postgres | None) -> Iterator[Finding]:
    """Yield what `mend` would repair: open artifacts, drafts of dead runs, and staged databases if `server` answers.

    The caller knows that no run is at work.
    """
    if opened := sorted(path.name for path in _own(catalog.directory) if _is_open(path)):
        yield warning("artifact.mode", f"others may read {first_of(opened, _NAMED)} in {catalog.directory}", FIX)
    drafts = sorted(path.name for path in catalog.directory.glob(f"{PARTIAL_PREFIX}*"))
    if drafts:
        words = f"{first_of(drafts, _NAMED)} in {catalog.directory}, left by a run that was killed"
        yield warning("recover.left", words, f"{FIX}; the next run removes it, too")
    if server is not None:
        found, live = Databases(server).survey(server.database), server.database
        names = [*beside(found.names, live, "stage").values(), *beside(found.names, live, "back").values()]
        names += [name for name in found.roles if is_beside(name, live, "load")]
        if names:
            words = f"{first_of(sorted(names), _NAMED)} on the server, left by a run that was killed"
            yield warning("recover.left", words, f"{FIX}; the next run removes it, too")


@dataclass
class Mending:
    """The repairs, as steps, and the errors of those that were not possible."""

    steps: list[Step] = field(default_factory=list)
    problems: list[KorrigoBackupError] = field(default_factory=list)

    def listen(self, step: Step) -> None:
        """Note a step of the recovery."""
        if isinstance(step, RecoveryLeft):
            self.problems.append(KorrigoBackupError(step.message, hint=step.hint, id_="recover.left"))
        else:
            self.steps.append(step)


def mend(
    build: Callable[[], Site],
    catalog: Catalog,
    site: JournaledSite,
    key: Path,
    listen: Listener,
    *,
    elsewhere: Callable[[], Iterable[str]] = tuple,
) -> Mending:
    """Repair what is safe, and pass each repair to `listen`.

    `build` returns the live site, or raises: without its database the files are repaired all the same. `site` is the
    site in the journal, `key` its key file; `elsewhere` removes leftovers in other places of drills and returns their
    names. Raises Locked while a run is at work.
    """
    done = Mending()
    if not catalog.directory.exists():
        with explained(f"make the backup directory {catalog.directory}"):
            files.private_directory(catalog.directory)
        done.listen(Mended(f"made the backup directory {catalog.directory}"))
    drafts = sorted(catalog.directory.glob(f"{PARTIAL_PREFIX}*"))
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(build(), catalog, Verb.DOCTOR, listen=done.listen))
        except Locked:
            raise
        except KorrigoBackupError as problem:
            done.problems.append(problem)
            stack.enter_context(catalog.exclusive(Verb.DOCTOR))
            recover_places(catalog, done.listen)
        names = [path.name for path in drafts]
        try:
            names += elsewhere()
        except KorrigoBackupError as problem:
            done.problems.append(problem)
        for name in names:
            done.listen(Mended(f"removed {name}, left by a run that was killed"))
        running = stack.enter_context(journal.recorded(catalog.directory, site, Verb.DOCTOR, "fix", listener=listen))
        _modes(catalog.directory, key, done)
        for step in done.steps:
            running.listen(step)
    return done


def _modes(directory: Path, key: Path, done: Mending) -> None:
    """Take the rights of group and others from what holds saved data or keys."""
    for path in (directory, *_own(directory), key):
        if not _is_open(path):
            continue
        mode = stat.S_IMODE(path.lstat().st_mode)
        closed = mode & ~_OTHERS
        try:
            with explained(f"change the mode of {path}"):
                path.chmod(closed)
        except KorrigoBackupError as problem:
            done.problems.append(problem)
        else:
            done.listen(Mended(f"others may not read {path} any more (mode {mode:o} was changed to {closed:o})"))


def _own(directory: Path) -> Iterator[Path]:
    """Yield the artifacts, their files, the recovery kits, the journal and the records in the backup directory."""
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        bare = path.name.removesuffix(MANIFEST_SUFFIX).removesuffix(MEMBERS_SUFFIX)
        hidden = path.name.startswith(".") and not path.name.startswith(PARTIAL_PREFIX)
        if parse(bare) or hidden or KIT.fullmatch(path.name) or path.name == MEDIA_STORE:
            yield path


def _is_open(path: Path) -> bool:
    """Return whether group or others have rights at a regular file or a directory; a link has no mode of its own."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and bool(mode & _OTHERS)


def close_key(path: Path) -> Mended:
    """Make a key file private that others could read."""
    with explained(f"change the mode of {path}"):
        path.chmod(FILE_MODE)
    return Mended(f"others may not read the key file {path} any more; if somebody has, begin with a new key")
