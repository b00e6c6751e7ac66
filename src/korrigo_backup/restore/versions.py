"""A dump of one PostgreSQL and a server of another: statements left out of the load, and findings before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.postgres.dump.scan import ScanResult, Sort

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from korrigo_backup.postgres.client import Postgres

TRANSACTION_TIMEOUT = 17
"""The first version that knows this setting. pg_dump 17 and newer set it to 0; older servers have no such timeout."""

DATABASE_OWNER = 15
"""The first version where schema public belongs to pg_database_owner."""

RESTRICT = {13: 22, 14: 19, 15: 14, 16: 10, 17: 6}
"""By major version, the first minor version whose psql knows the command (CVE-2025-8714)."""


def left_out_here(server: Postgres, scan: ScanResult) -> tuple[Sort, ...]:
    """Return the sorts of harmless statements that this server does not know, or that we write ourselves."""
    sorts = [Sort.RESTRICT]  # ours stands around a load
    if scan.places[Sort.NEW_SETTING] and server.version() < TRANSACTION_TIMEOUT:
        sorts.append(Sort.NEW_SETTING)
    if _public_changes_hands(server, scan):
        sorts.append(Sort.PUBLIC_OWNER)
    return tuple(sorts)


def subscription_findings(names: Iterable[str]) -> Iterator[Finding]:
    """Return the effect of a restore on subscriptions: pg_dump writes them without a connection."""
    if found := sorted(names):
        yield warning("database.subscriptions", f"restored subscriptions are disabled: {', '.join(found)}",
                      "after the restore: drop it in the kept database, then ALTER SUBSCRIPTION … SET (slot_name …),"
                      " ENABLE and REFRESH PUBLICATION in the live database")  # fmt: skip


def _public_changes_hands(server: Postgres, scan: ScanResult) -> bool:
    """Return whether schema public comes from before 15 into a newer server, for a role that may not give it away."""
    saved = _major(scan.server_version)
    if not scan.places[Sort.PUBLIC_OWNER] or saved is None or not saved < DATABASE_OWNER <= server.version():
        return False
    return not Databases(server).role().superuser


def knows_restrict(version: tuple[int, int]) -> bool:
    """Return whether the psql of a version has that command."""
    major, minor = version
    return minor >= RESTRICT.get(major, 0 if major > max(RESTRICT) else minor + 1)


def version_findings(server: Postgres, scan: ScanResult) -> Iterator[Finding]:
    """Return the findings about a dump of another major version than the server's."""
    saved, here = _major(scan.server_version), server.version()
    made_by = _major(scan.client_version)
    if saved and saved > here:
        yield warning("version.older", f"the backup is of PostgreSQL {saved}, this server is {here}{_FAILS}",
                      f"restore into PostgreSQL {saved} or newer")  # fmt: skip
    elif made_by and made_by > here:
        yield warning("version.older", f"pg_dump {made_by} wrote this backup, this server is {here}{_FAILS}")


_FAILS = ": a statement that it does not know makes the load fail, and the site stays as it is"


def _major(version: str | None) -> int | None:
    head = (version or "").partition(".")[0]
    digits = "".join(character for character in head if character.isdigit())
    return int(digits) if digits else None
