"""Facts about a dump of unknown origin before it is loaded: refusals with a command, and warnings."""

from __future__ import annotations

from itertools import groupby
from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding, error, loss, warning
from korrigo_backup.core.paths import printable
from korrigo_backup.errors import UsageError
from korrigo_backup.postgres.dump.foreign import UNSAFE_ENCODINGS
from korrigo_backup.system.run import Command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from korrigo_backup.postgres.databases import Role
    from korrigo_backup.postgres.difference import Acceptance
    from korrigo_backup.postgres.dump.scan import ScanResult

NO_ROWS = "artifact.no_rows"
"""A finding, and the name of the difference that can be accepted."""

_SHOWN = 5
"""Names that a finding lists of a kind."""

_SYSTEM = ("template1", "template0", "postgres")


def local_tool(program: str, *arguments: str) -> Command:
    """Return the command of a PostgreSQL client of this machine that needs no connection."""
    return Command((program, *arguments), unprivileged=True)


def require_loadable(path: Path, scan: ScanResult) -> None:
    """Raise UsageError, with the command to type, for a dump that holds a whole server or is in an unsafe encoding."""
    if scan.cluster or len(scan.connects) > 1:
        names = [name for name in dict.fromkeys(scan.connects) if name not in _SYSTEM]
        name = printable(names[0] if names else "NAME")
        begin, end = f'/^-- Database "{name}" dump/', "/^-- PostgreSQL database dump complete/"
        raise UsageError(
            f"{path.name} holds a whole server, by pg_dumpall: {', '.join(map(printable, names)) or 'no database'}",
            hint="take a single database out of it, and restore that file:"
            f" gzip -dcf {quote(str(path))} | sed -n {quote(f'{begin},{end}p')} | gzip > one.sql.gz",
        )
    if scan.rows and not scan.tables:
        raise UsageError(
            f"{path.name} holds rows and no tables: it was made with --data-only",
            hint="a restore needs both: have it made by pg_dump DATABASE | gzip > NAME.sql.gz",
        )
    if scan.encoding.upper() in UNSAFE_ENCODINGS:
        raise UsageError(
            f"{path.name} is in the encoding {scan.encoding}, in which characters can hide quotes",
            hint="have it made again in UTF-8: pg_dump --encoding=UTF8 DATABASE | gzip > NAME.sql.gz",
        )


def without_rows(name: str, scan: ScanResult, accept: Acceptance) -> Iterator[Finding]:
    """Yield an error for a dump of tables without rows (`--schema-only`), a loss where that is accepted."""
    if scan.tables and not scan.rows and not scan.inserts:
        what = f"{name} holds {scan.tables} tables and no rows: it was made with --schema-only"
        if accept.takes(NO_ROWS):
            yield loss("artifact.no_rows", f"{what}; accepted, so every table is empty")
        else:
            yield error(
                "artifact.no_rows", what, f"a restore would empty the site; if you mean that: --accept {NO_ROWS}"
            )


def uncounted(name: str, scan: ScanResult) -> Iterator[Finding]:
    """Yield a warning for rows that no proof counts because they are INSERT statements."""
    if scan.inserts:
        yield warning("artifact.inserts", f"{name} has {scan.inserts} INSERT statements: their rows are not counted,"
                      " so the load proves that each was executed and no more",
                      "better have it made without --inserts")  # fmt: skip


def code(name: str, scan: ScanResult) -> Iterator[Finding]:
    """Yield a warning that names the functions, triggers, rules and policies of a dump that this site has not signed.

    They do not run with rights while it is loaded. Afterwards they run with the rights of each user of the database.
    """
    if not scan.code:
        return
    ordered = sorted(scan.code, key=lambda one: (one.kind, one.name))
    kinds = [_counted(kind, [one.name for one in group]) for kind, group in groupby(ordered, lambda one: one.kind)]
    definers = [one.name for one in ordered if one.definer]
    owner = f"; with their owner's rights (SECURITY DEFINER): {_names(definers)}" if definers else ""
    yield warning(
        "artifact.code",
        f"{name} brings code that runs after the restore, with the rights of the role that uses the database:"
        f" {'; '.join(kinds)}{owner}",
        "read it before the site serves: \\sf NAME and \\d TABLE in psql on the staged or restored database;"
        " let the site use a role that is no superuser",
    )


def as_owner(name: str, role: Role, *, in_place: bool = False) -> Iterator[Finding]:
    """Yield a warning if statements of an unsigned dump run with the rights of our own role."""
    if role.makes_roles and not in_place:
        return
    yield warning(
        "restore.as_owner",
        f"{name} is loaded by role {role.name} itself: its statements have the rights of this role on its databases",
        "load it with a role without rights: restore without --in-place, as a superuser"
        f' or after ALTER ROLE "{role.name}" CREATEROLE',
    )


def _counted(kind: str, names: list[str]) -> str:
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    return f"{len(names)} {kind if len(names) == 1 else plural} ({_names(names)})"


def _names(names: list[str]) -> str:
    return first_of(list(map(printable, names)), _SHOWN)
