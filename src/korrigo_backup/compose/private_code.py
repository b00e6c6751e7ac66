"""Other code for the backend of a private Compose project: another image, or a directory mounted over its own code."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from korrigo_backup.compose.private_mounts import CodeOver
from korrigo_backup.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from korrigo_backup.compose.private_mounts import PrivateOptions

_ENVIRONMENTS = frozenset({"__pycache__", "node_modules", "venv"})
"""Directories of a checkout that are no code of the site; hidden ones are left out, too."""


def with_new_image(options: PrivateOptions, identity: str) -> Mapping[str, str]:
    """Return the images of the services with another image for the backend and the services of the same image."""
    own = options.images.get(options.backend)
    return {
        name: identity if name == options.backend or (own and one == own) else one
        for name, one in {options.backend: "", **options.images}.items()
    }


def code_over(
    checkout: Path, working_directory: str, manage: tuple[str, ...], mounts: Iterable[Mapping[str, Any]]
) -> CodeOver:
    """Return the paths that put a checkout over the code of the backend, whose directory is that of manage.py.

    `mounts` are those of the backend in the private document. A path below which it mounts data or a file is not
    covered; the entries beside it are mounted one by one. Raises NotFound if the checkout has no manage.py.
    """
    program = PurePosixPath(next((word for word in manage if word.endswith(".py")), "."))
    if program.name and not (checkout / program.name).is_file():
        inner = sorted(path.parent for path in checkout.glob(f"*/{program.name}"))
        raise NotFound(
            f"{checkout} has no {program.name}",
            hint=f"name the directory {inner[0]}" if inner else f"name the directory of the new code's {program.name}",
        )
    home = PurePosixPath(working_directory or "/") / program.parent
    over = CodeOver(str(home), {})
    kept = {PurePosixPath(one["target"]) for one in mounts if not over.replaces(one, lambda path: Path(path).is_file())}
    return CodeOver(str(home), dict(_entries(checkout.resolve(), home, kept)))


def _entries(source: Path, target: PurePosixPath, kept: Collection[PurePosixPath]) -> Iterator[tuple[str, str]]:
    """Yield what is mounted for the entries of a directory, the path in the container first."""
    for path in sorted(source.iterdir()):
        there = target / path.name
        if path.name.startswith(".") or path.name in _ENVIRONMENTS or there in kept:
            continue
        if path.is_dir() and any(one.is_relative_to(there) for one in kept):
            yield from _entries(path, there, kept)
        else:
            yield str(there), str(path)
