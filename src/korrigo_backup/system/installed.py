"""How this program was installed, so that it can be installed again the same way on another machine."""

from __future__ import annotations

from importlib import metadata

import msgspec

from korrigo_backup.core.secret import without_credentials

NAME = "korrigo-backup"


class _Revision(msgspec.Struct, frozen=True):
    vcs: str
    commit_id: str


class _Origin(msgspec.Struct, frozen=True):
    """The record that pip writes next to an installation that came from no index (PEP 610)."""

    url: str
    vcs_info: _Revision | None = None


def requirement(version: str, extra: str) -> tuple[str, str | None]:
    """Return pip's requirement for this `version` with an extra, and its source directory or archive, if any."""
    try:
        noted = metadata.distribution(NAME).read_text("direct_url.json")
        origin = msgspec.json.decode(noted or b"", type=_Origin)
    except (metadata.PackageNotFoundError, msgspec.DecodeError):
        return f"{NAME}[{extra}]=={version}", None
    address = without_credentials(origin.url)
    if origin.vcs_info:
        return f"{NAME}[{extra}] @ {origin.vcs_info.vcs}+{address}@{origin.vcs_info.commit_id}", None
    return f"{NAME}[{extra}]=={version}", address
