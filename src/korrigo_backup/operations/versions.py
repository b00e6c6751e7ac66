"""A dump of one PostgreSQL and a server of another: what is left out so that it loads, and what is said before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.domain.finding import Finding, warning
from korrigo_backup.formats.sqlscan import ScanResult, Sort

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.site.postgres import Postgres

TRANSACTION_TIMEOUT = 17
"""The first version that knows this setting. pg_dump 17 and newer set it to 0, which is what older ones do anyway."""

RESTRICT = {13: 22, 14: 19, 15: 14, 16: 10, 17: 6}
"""By major version, the first minor one whose psql knows the command (CVE-2025-8714)."""


def left_out_here(server: Postgres, scan: ScanResult) -> tuple[Sort, ...]:
    """Return the sorts of harmless statements that this server or its psql does not know."""
    sorts = []
    if scan.places[Sort.NEW_SETTING] and server.version() < TRANSACTION_TIMEOUT:
        sorts.append(Sort.NEW_SETTING)
    if scan.places[Sort.RESTRICT] and not knows_restrict(server.client_version()):
        sorts.append(Sort.RESTRICT)
    return tuple(sorts)


def knows_restrict(version: tuple[int, int]) -> bool:
    """Tell whether the psql of a version has that command."""
    major, minor = version
    return minor >= RESTRICT.get(major, 0 if major > max(RESTRICT) else minor + 1)


def version_findings(server: Postgres, scan: ScanResult) -> Iterator[Finding]:
    """Return what a dump of another major version than the server's means."""
    saved, here = _major(scan.server_version), server.version()
    made_by = _major(scan.client_version)
    if saved and saved > here:
        yield warning("version.older", f"the backup is of PostgreSQL {saved}, this server is {here}{_FAILS}",
                      f"better restore into {saved} or newer")  # fmt: skip
    elif made_by and made_by > here:
        yield warning("version.older", f"pg_dump {made_by} wrote this backup, this server is {here}{_FAILS}")


_FAILS = ": what it does not know makes the load fail, which changes nothing"


def _major(version: str | None) -> int | None:
    head = (version or "").partition(".")[0]
    digits = "".join(character for character in head if character.isdigit())
    return int(digits) if digits else None
