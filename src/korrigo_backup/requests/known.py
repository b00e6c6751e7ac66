"""The backups that a request may name: those in the backup directory, by their exact names."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.errors import NotFound
from korrigo_backup.targets.ledger import Ledger, known_targets

if TYPE_CHECKING:
    from pathlib import Path

    from korrigo_backup.artifact.catalog import Catalog


def require_known(catalog: Catalog, name: str) -> None:
    """Raise NotFound unless a backup of this site has exactly this name: a name that means another is none.

    A copy on a target, which may be sealed, is not opened for a request; the hint is the command that brings it back.
    """
    if any(one.ours and one.name == name for one in catalog.artifacts()):
        return
    for target in known_targets(catalog.directory):
        if (sealed := _copy_on(catalog.directory, target, name)) is not None:
            raise NotFound(
                f"{name} is not in the backup directory; {target} has a {'sealed ' if sealed else ''}copy",
                hint=f"on the host: korrigo-backup fetch {quote(target)}"
                f" {quote(name)}{' --identity FILE' if sealed else ''};"
                " then ask again",
            )
    raise NotFound(f"this site has no backup {name}", hint="korrigo-backup list shows the backups")


def _copy_on(directory: Path, target: str, name: str) -> bool | None:
    """Return whether the copy of a backup on a target is sealed, None if this host knows of no copy there."""
    copies = Ledger(directory, target).lines.values()
    return next((one.sealed for one in copies if one.artifact == name and one.whole and one.sent), None)
