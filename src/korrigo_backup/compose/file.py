"""Compose files read as text, without an engine: the services that they name, and their settings.

`include` and `extends` are followed, also into other files; files on another machine are named in `unread`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from korrigo_backup.compose.service import Around, ServiceText, Volume, filled, merged, paths, scalar, service
from korrigo_backup.errors import UsageError
from korrigo_backup.system.dotenv import read_dotenv
from korrigo_backup.system.files import explained

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["ComposeText", "ServiceText", "Volume", "filled", "read"]

_LARGEST = 1024 * 1024
"""Bytes; a hundred services take a tenth."""

_DEEPEST = 20
"""Files that include or extend others; a circle ends there."""


@dataclass(frozen=True)
class ComposeText:
    """The merged content of the files of a project; if two files name a service, the later words are added.

    `secrets` are the files that `secrets:` and `configs:` take their values from, by name. `files` are those that were
    read besides the given ones, `unread` those that are named and missing. All are relative to the directory of the
    first file.
    """

    project: str | None
    services: Mapping[str, ServiceText]
    secrets: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def settings_files(self) -> tuple[str, ...]:
        """The files that hold settings of the services, as written: relative to the directory of the first file."""
        named = [path for one in self.services.values() for path in one.env_files]
        return tuple(dict.fromkeys((*named, *self.secrets.values())))


def read(files: Iterable[Path], environment: Mapping[str, str]) -> ComposeText:
    """Return the content of `files`, with variables filled from `environment` as Compose fills them.

    Raises UsageError for a file that is no YAML, or whose services have a wrong form.
    """
    given = tuple(files)
    project = _Project(given[0].parent if given else Path())
    for path in given:
        project.add(_loaded(path), path, Around(environment))
    return project.text()


def images_written(files: Iterable[Path]) -> dict[str, str]:
    """Return the image of each service as the files write it, with its variables; raises UsageError as `read` does."""
    found: dict[str, str] = {}
    for path in files:
        for name, body in _bodies(_loaded(path), path):
            if isinstance(image := body.get("image"), str):
                found[name] = image
    return found


def understood(document: dict[str, Any], first: Path) -> ComposeText:
    """Return the project in the output of `docker compose config`; `first` is the first of its files."""
    project = _Project(first.parent)
    project.add(_as_written(document, first.parent), first, Around({}))
    return project.text()


def _as_written(document: dict[str, Any], home: Path) -> dict[str, Any]:
    """Return the document with the sources of mounts below `home` as a file writes them: `./shop`.

    Compose makes them absolute, and the directories above the project do not show which data are mounted.
    """
    for body in (document.get("services") or {}).values():
        for volume in body.get("volumes") or ():
            source = volume.get("source") if isinstance(volume, dict) else None
            if isinstance(source, str) and source.startswith("/") and PurePosixPath(source).is_relative_to(home):
                below = str(PurePosixPath(source).relative_to(home))
                volume["source"] = below if below == "." else f"./{below}"
    return document


@dataclass
class _Project:
    """The project as far as it is read; `home` is the directory of its first file."""

    home: Path
    name: str | None = None
    services: dict[str, ServiceText] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    files: dict[str, None] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)

    def text(self) -> ComposeText:
        """Return the content read so far."""
        unread = tuple(dict.fromkeys(self.unread))
        return ComposeText(self.name, self.services, self.secrets, tuple(self.files), unread)

    def add(self, document: dict[str, Any], path: Path, around: Around, depth: int = 0) -> None:
        """Add the content of the file `path`, its included files first."""
        for entry in _list(document.get("include")):
            self._include(entry, around, depth)
        name = document.get("name")
        if isinstance(name, str) and not depth:
            self.name = around.fill(name)
        for one in _bodies(document, path):
            made = self._service(one, document, path, around, 0)
            self.services[made.name] = merged(self.services.get(made.name), made)
        for section in ("secrets", "configs"):
            self.secrets.update(_secret_files(document.get(section), around))

    def _include(self, entry: Any, around: Around, depth: int) -> None:
        body = entry if isinstance(entry, dict) else {"path": entry}
        names = [around.path(name) for one in _list(body.get("path")) for name in paths(one, around)]
        if not names:
            return
        place = around.fill(scalar(body.get("project_directory")))
        prefix = Path(around.path(place)) if place else Path(names[0]).parent
        settings = [around.path(path) for path in paths(body.get("env_file"), around)] or [str(prefix / ".env")]
        variables: dict[str, str] = {}
        for path in settings:
            variables |= read_dotenv(self.home / path, around.environment)
        inner = Around({**variables, **around.environment}, prefix)
        for name in names:
            if found := self._found(name, depth):
                self.add(_loaded(found), found, inner, depth + 1)

    def _found(self, name: str, depth: int) -> Path | None:
        """Return the path of a file that another names, None where it is not on this machine."""
        path = self.home / name
        if depth >= _DEEPEST or not path.is_file():
            self.unread.append(name)
            return None
        self.files[name] = None
        return path

    def _service(
        self, one: tuple[str, dict[str, Any]], document: dict[str, Any], path: Path, around: Around, depth: int
    ) -> ServiceText:
        """Return a service, with the settings of the service that it extends."""
        name, body = one
        own = service(name, body, around)
        extended = body.get("extends")
        if not extended or depth >= _DEEPEST:
            return own
        base = self._base(extended, (document, path), around, depth)
        return own if base is None else replace(merged(base, own), name=name)

    def _base(self, extended: Any, here: tuple[dict[str, Any], Path], around: Around, depth: int) -> ServiceText | None:
        document, path = here
        given = extended if isinstance(extended, dict) else {"service": extended}
        if named := around.fill(scalar(given.get("file"))):
            name = around.path(named)
            found = self._found(name, depth)
            if found is None:
                return None
            document, path, around = _loaded(found), found, replace(around, prefix=Path(name).parent)
        wanted = around.fill(scalar(given.get("service")))
        body = next((one for one in _bodies(document, path) if one[0] == wanted), None)
        return self._service(body, document, path, around, depth + 1) if body else None


def _loaded(path: Path) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - a library for two verbs, not to be loaded by all

    loader: Any = type("Loader", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("!", _untagged)  # Compose's own !reset and !override
    try:
        with explained(f"read {path}"), path.open("rb") as file:
            document = yaml.load(file.read(_LARGEST), Loader=loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UsageError(  # its words may quote the file, in which secrets stand
            f"{path}{where}: not valid YAML", hint="docker compose config names the mistake"
        ) from None
    if not isinstance(document, dict):
        raise UsageError(
            f"{path} is not a Compose file: there is no `services:` in it",
            hint="correct that file, or the place that names it ([compose] files, include, extends)",
        )
    return document


def _untagged(loader: Any, suffix: str, node: Any) -> Any:
    del suffix
    if node.id == "mapping":
        return loader.construct_mapping(node, deep=True)
    return loader.construct_sequence(node, deep=True) if node.id == "sequence" else None


def _bodies(document: dict[str, Any], path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    services = document.get("services") or _first_version(document)
    if not isinstance(services, dict):
        raise UsageError(
            f"{path}: `services` is not a mapping of names", hint="docker compose config names the mistake"
        )
    for name, body in services.items():
        if not isinstance(body, dict):
            raise UsageError(f"{path}: the service {name!s:.60} is not a mapping", hint="docker compose config")
        yield scalar(name), body


def _first_version(document: dict[str, Any]) -> dict[str, Any]:
    """Return the services of a file of the first format, which has them at its top and no `services:`."""
    if "services" in document:
        return {}
    return {
        name: body
        for name, body in document.items()
        if isinstance(body, dict) and ("image" in body or "build" in body) and not str(name).startswith("x-")
    }


def _secret_files(value: Any, around: Around) -> Iterator[tuple[str, str]]:
    for name, body in value.items() if isinstance(value, dict) else []:
        if isinstance(body, dict):
            for path in paths(body.get("file"), around):
                yield scalar(name), around.path(path)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
