"""The options of `restore` that belong to a whole restore, and not to single tables or files."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from korrigo_backup.restore.restore import RestoreOptions


def of_a_whole_restore(options: RestoreOptions) -> str | None:
    """Return the first option that was typed and belongs to a whole restore, None without one."""
    typed = {
        "--in-place": options.in_place,
        "--into-other-site": options.into_other_site,
        "--keep": options.keep,
        "--accept": bool(options.accept),
        "--no-safety-backup": not options.safety_backup,
    }
    return next((name for name, given in typed.items() if given), None)
