"""The jobs that test backups and restores in CI (runbook 6.8), as files for GitLab and GitHub."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from korrigo_backup.errors import Refused
from korrigo_backup.system.files import PUBLIC_MODE, explained, replace_whole

TEMPLATES = Path(__file__).parents[1] / "ci"


class System(StrEnum):
    """A CI system with a template."""

    GITLAB = "gitlab"
    GITHUB = "github"


_FILES = {
    System.GITLAB: ("gitlab-ci.yml", Path(".gitlab/korrigo-backup.yml")),
    System.GITHUB: ("github-actions.yml", Path(".github/workflows/korrigo-backup.yml")),
}
"""The template of each system, and its place in a project."""

NEXT = {
    System.GITLAB: "add to .gitlab-ci.yml: include: {local: .gitlab/korrigo-backup.yml}; its first lines say the rest",
    System.GITHUB: "commit it; its first lines name the runner and the variable that it needs",
}


def template(system: System) -> str:
    """Return the text of the jobs of a system."""
    return (TEMPLATES / _FILES[system][0]).read_text(encoding="utf-8")


def install(directory: Path, system: System) -> tuple[Path, bool]:
    """Put the jobs into the project at `directory`; return their path, and whether the file is new.

    Raises Refused if there is another file of that name.
    """
    path, text = directory / _FILES[system][1], template(system)
    with explained(f"write {path}"):
        if path.exists():
            if path.read_text(encoding="utf-8") == text:
                return path, False
            raise Refused(f"{path} exists already and is another file", hint=f"move it away: mv {path} {path}.former")
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_whole(path, text.encode(), PUBLIC_MODE)
    return path, True
