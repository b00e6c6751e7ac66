"""How this program was installed, so that it and its libraries can be installed the same way again.

No package index has the program yet. Its address, once it has one, is `Source` of `[project.urls]` in pyproject.toml,
and so in the metadata of each installation.
"""

from __future__ import annotations

import re
import shlex
import sys
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import msgspec

from korrigo_backup.core.secret import without_credentials

if TYPE_CHECKING:
    from importlib.metadata import Distribution

NAME = "korrigo-backup"
_ADDRESS = "Source"
"""The label of the project's address in the metadata (`Project-URL`)."""


class _Revision(msgspec.Struct, frozen=True):
    vcs: str
    commit_id: str


class _Origin(msgspec.Struct, frozen=True):
    """The record that pip writes next to an installation that came from no index (PEP 610)."""

    url: str
    vcs_info: _Revision | None = None


def requirement(version: str, extra: str) -> tuple[str, str | None]:
    """Return pip's argument for this `version` with an extra, and the file or directory that must be brought for it.

    The second is None if pip finds the program by itself: at the project's address, or in an index.
    """
    origin = _origin()
    if origin is None:
        return f"{NAME}[{extra}]=={version}", None
    address = without_credentials(origin.url)
    if origin.vcs_info:
        return f"{NAME}[{extra}] @ {origin.vcs_info.vcs}+{address}@{origin.vcs_info.commit_id}", None
    if project := _project_address():
        return f"{NAME}[{extra}] @ git+{project}@v{version}", None
    parts = urlsplit(address)
    if parts.scheme == "file":
        return f"{unquote(parts.path)}[{extra}]", address
    return f"{NAME}[{extra}] @ {address}", None


def program_source() -> str:
    """Return pip's argument, for a shell, that installs the newest version of this program.

    Without a known origin it is the name of the wheel that `make dist` makes.
    """
    origin = _origin()
    if origin and origin.vcs_info:
        return shlex.quote(f"{origin.vcs_info.vcs}+{without_credentials(origin.url)}")
    if project := _project_address():
        return shlex.quote(f"git+{project}")
    if origin is None:
        return "korrigo_backup-VERSION-py3-none-any.whl"
    parts = urlsplit(without_credentials(origin.url))
    return shlex.quote(unquote(parts.path) if parts.scheme == "file" else parts.geturl())


def install_command(library: str) -> str:
    """Return the command that installs a library of an extra for the Python that runs this program."""
    wanted = next((one for one in _requires() if re.match(rf"{re.escape(library)}(?![\w.-])", one)), library)
    return shlex.join((sys.executable, "-m", "pip", "install", wanted.partition(";")[0].strip()))


def _distribution() -> Distribution | None:
    from importlib import metadata  # noqa: PLC0415 - only hints and kits need it, and it takes 20 ms

    try:
        return metadata.distribution(NAME)
    except metadata.PackageNotFoundError:
        return None


def _origin() -> _Origin | None:
    found = _distribution()
    try:
        return msgspec.json.decode(found.read_text("direct_url.json") or b"", type=_Origin) if found else None
    except msgspec.DecodeError:
        return None


def _project_address() -> str | None:
    """Return the project's address in the metadata."""
    found = _distribution()
    labelled = (found.metadata.get_all("Project-URL") or []) if found else []
    pairs = (one.partition(",")[::2] for one in labelled)
    return next((without_credentials(address.strip()) for label, address in pairs if label == _ADDRESS), None)


def _requires() -> list[str]:
    found = _distribution()
    return (found.requires or []) if found else []
