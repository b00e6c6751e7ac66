"""The options of `restore` that belong to a whole restore, and not to single tables or files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection

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


def require_one_scope(
    tables: Collection[str], files: Collection[str], new_values: Collection[str], *, exact: bool, overwrite: bool
) -> None:
    """Raise UsageError for options of tables and of files at once, or without the option that they go with."""
    if tables and overwrite and not files:
        raise UsageError("--overwrite goes with --file", hint="leave it out: --exact also removes newer rows")
    if exact and files and not tables:
        raise UsageError("--exact goes with --table", hint="leave it out: --overwrite also replaces changed files")
    if (tables or exact) and (files or overwrite):
        raise UsageError("--table and --file exclude each other", hint="restore the tables first, then the files")
    if new_values and not tables:
        raise UsageError("--new-value goes with --table", hint="korrigo-backup restore --table T --new-value …")
