"""The site's code: its revision, so that a restore point names the code of its rows, and its source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.core.secret import without_credentials
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.system.run import Command, run

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS = 10.0


def work_tree_revision(directory: Path) -> str | None:
    """Return the commit that is checked out in `directory`, with `+` when files were changed; None without git."""
    if not (directory / ".git").exists():
        return None
    commit = _git(directory, "rev-parse", "HEAD")
    changed = _git(directory, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}+" if commit and changed else commit or None


def work_tree_remote(directory: Path) -> str | None:
    """Return where the code in `directory` is cloned from, without a name and password in the address; None without."""
    if not (directory / ".git").exists():
        return None
    return without_credentials(_git(directory, "remote", "get-url", "origin")) or None


def _git(directory: Path, *arguments: str) -> str:
    try:
        done = run(Command(("git", "-C", str(directory), *arguments)), timeout=_SECONDS)
    except KorrigoBackupError:
        return ""  # no git, or no answer from it: a backup does not depend on it
    return done.stdout.decode(errors="replace").strip() if done.status == 0 else ""
