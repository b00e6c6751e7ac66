"""A restore of a database with an extension that can stand in that database alone (`postgres/dump/bound.py`)."""

from __future__ import annotations

import tempfile
from typing import IO, TYPE_CHECKING

from korrigo_backup.core.finding import error, loss, warning
from korrigo_backup.errors import ProofFailed
from korrigo_backup.postgres.difference import name
from korrigo_backup.postgres.digest import Snapshot, known_rule
from korrigo_backup.postgres.dump import bound as sqlbound
from korrigo_backup.postgres.session_settings import PROVING
from korrigo_backup.postgres.sql import literal
from korrigo_backup.system.files import CHUNK
from korrigo_backup.system.streams import gunzip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.core.finding import Finding
    from korrigo_backup.postgres.client import Postgres
    from korrigo_backup.postgres.dump.bound import Bound
    from korrigo_backup.restore.parts import RestoreContext
    from korrigo_backup.verify.dump_source import SqlSource

BOUND = "extensions.bound"
"""The finding about such an extension."""

_STANDING = "SELECT coalesce(json_agg(extname), '[]') FROM pg_extension"
_SETTING = "SELECT json_build_array(current_setting({name}, true))"


def standing_in(server: Postgres) -> tuple[Bound, ...]:
    """Return the extensions of that kind that the live database has."""
    names = server.ask(_STANDING, frozenset[str])
    return tuple(one for one in sqlbound.KNOWN if one.extension in names)


def left_out(context: RestoreContext, source: SqlSource, *, rehearsal: bool) -> tuple[Bound, ...]:
    """Return the extensions of that kind that are not made: of a drill, of a stranger's dump, and those accepted."""
    found = sqlbound.bound_in(source.expected, source.scan)
    return tuple(one for one in found if rehearsal or not context.trusted or _accepted(context, one))


def bound_findings(context: RestoreContext, source: SqlSource, *, rehearsal: bool) -> Iterator[Finding]:
    """Yield findings about such extensions: they are made after the swap, or cannot be made here."""
    server = context.site.postgres
    for one in sqlbound.bound_in(source.expected, source.scan):
        if rehearsal:
            yield warning("extensions.bound", f"the drill leaves out the extension {one.extension}, which can stand in"
                          " a single database, and its rows")  # fmt: skip
            continue
        if _accepted(context, one):
            yield loss("extensions.bound", f"the extension {one.extension} and its rows are left out")
            continue
        if not context.trusted:
            yield _of_a_stranger(one)
            continue
        asked = _SETTING.format(name=literal(one.setting))
        (where,) = server.ask_server(asked, tuple[str | None])
        if where == server.database:
            yield warning("extensions.bound", f"the extension {one.extension} can stand in database {where} alone: it"
                          " and its rows are made right after the swap")  # fmt: skip
        else:
            there = f"database {where} alone" if where else "no database of this server"
            yield error("extensions.bound", f"the extension {one.extension} can stand in {there}",
                        f"set {one.setting} = '{server.database}' in postgresql.conf, load its library, and"
                        f" restart the server; or go on without it: {_without(one)}")  # fmt: skip


def _of_a_stranger(bound: Bound) -> Finding:
    return error("extensions.bound", "the dump is not signed with this site's key, so the rows of its extension"
                 f" {bound.extension} are not made: the server would run their jobs with the rights of this role",
                 f"find the key that signed it: [backup] key_file; or go on without: {_without(bound)}")  # fmt: skip


def spooled(context: RestoreContext, source: SqlSource, file_name: str) -> list[tuple[Bound, IO[bytes]]]:
    """Return the SQL to execute after the swap, in files without a name that no other user can open.

    It is executed with the rights of our role, so it contains no text of a dump that this site has not signed.
    """
    spools: list[tuple[Bound, IO[bytes]]] = []
    without = left_out(context, source, rehearsal=False)
    for one in sqlbound.bound_in(source.expected, source.scan):
        if one in without:
            continue
        source.file.seek(0)
        spool = tempfile.TemporaryFile()  # noqa: SIM115 - open until the swap
        spool.writelines(sqlbound.script(source.scan, one, gunzip(source.file, file_name), file_name))
        spools.append((one, spool))
    return spools


def make(context: RestoreContext, source: SqlSource, bound: Bound, spool: IO[bytes], *, restricted: bool) -> None:
    """Make the extension in the live database, with its rows, and prove them, in one transaction."""
    spool.seek(0)
    with context.site.postgres.session() as session:
        session.run(f"{PROVING} BEGIN")
        session.adapt()
        session.feed(iter(lambda: spool.read(CHUNK), b""), restricted=restricted)
        session.run("SET LOCAL client_encoding = 'UTF8'")
        taken = Snapshot(session, "", source.expected.search_path)
        rule = known_rule(source.expected.digest)
        found = {one.name: taken.prove(one, rule=rule) for one in taken.tables() if bound.owns(one.name)}
        positions = {one.name: one for one in taken.sequences()}
        for table in filter(lambda one: bound.owns(one.name), source.expected.tables):
            if not (table.name in found and table.same_rows(found[table.name])):
                raise _not_as_saved(bound, f"{table.name} has other rows")
        for sequence in filter(lambda one: bound.owns(one.name), source.expected.sequences):
            if positions.get(sequence.name) != sequence:
                raise _not_as_saved(bound, f"{sequence.name} has another position")
        session.run("COMMIT")
    spool.close()


def _not_as_saved(bound: Bound, what: str) -> ProofFailed:
    return ProofFailed(
        f"extension {bound.extension}: {what} than was saved",
        hint=f"go on without it: {_without(bound)}",
    )


def _without(bound: Bound) -> str:
    return f"--accept {name('extension', bound.extension)}"


def _accepted(context: RestoreContext, bound: Bound) -> bool:
    return context.accept.takes(name("extension", bound.extension))
