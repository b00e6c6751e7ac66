"""Backups and secrets stay out of the site's git repository."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from korrigo_backup.config.load import DOTENV, OWN_DOTENV
from korrigo_backup.system.files import explained, write_private
from korrigo_backup.system.run import Command, run, which

if TYPE_CHECKING:
    from pathlib import Path

NAME = ".gitignore"
_SECONDS = 10.0


def shield(backups: Path, directory: Path) -> bool:
    """Write a `.gitignore` into a backup directory below the site's directory, and return whether it was written.

    It takes everything there out of git, itself, too, and is private, as all files there. Raises Refused if the
    directory may not be written to.
    """
    path = backups / NAME
    if not _is_below(backups, directory) or os.path.lexists(path):
        return False
    with explained(f"write {path}"):
        write_private(path, b"# backups hold personal data: none of them belongs into git\n*\n")
    return True


def lines_to_add(directory: Path) -> tuple[str, ...]:
    """Return the lines that the site's `.gitignore` needs for files with secrets; none outside of a git work tree."""
    if not which("git"):
        return ()
    return tuple(name for name in (DOTENV, OWN_DOTENV) if (directory / name).exists() and _is_seen(directory, name))


def add(directory: Path, lines: tuple[str, ...]) -> Path:
    """Add lines to the site's `.gitignore` and return it. Raises Refused if it may not be written to."""
    path = directory / NAME
    with explained(f"write {path}"):
        before = path.read_bytes() if path.exists() else b""
        gap = "" if not before or before.endswith(b"\n") else "\n"
        with path.open("ab") as file:  # the site's own lines are not written again
            file.write((gap + "".join(f"/{line}\n" for line in lines)).encode())
    return path


def _is_below(path: Path, directory: Path) -> bool:
    return path.resolve().is_relative_to(directory.resolve()) and path.resolve() != directory.resolve()


def _is_seen(directory: Path, name: str) -> bool:
    """Return whether git would take a file in: 1 is git's answer that no pattern ignores it, 128 that there is none."""
    done = run(Command(("git", "-C", str(directory), "check-ignore", "--quiet", name)), timeout=_SECONDS)
    return done.status == 1
