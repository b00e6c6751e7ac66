"""Anonymise a copy that a drill has loaded and proven, and check it, before it gets a name to be used by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.anonymise.database import Copy, opened_copy, renamed
from korrigo_backup.anonymise.files import CopyFiles, NamedFile
from korrigo_backup.anonymise.names import require_names
from korrigo_backup.anonymise.rules import Act, FileAct
from korrigo_backup.anonymise.survivors import survivors
from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding, ok, warning
from korrigo_backup.core.site_description import PathColumn, PathKind
from korrigo_backup.errors import KorrigoBackupError, OriginalsLeft
from korrigo_backup.postgres.dump.tables import dumped_tables
from korrigo_backup.postgres.references import relative_path, select_column
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.run.step import AnonymisingCopy, SearchingOriginals
from korrigo_backup.system.files import CHUNK, explained, open_plain
from korrigo_backup.system.streams import gunzip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from korrigo_backup.anonymise.columns import Ruled
    from korrigo_backup.anonymise.database import Replaced
    from korrigo_backup.anonymise.rules import Rules
    from korrigo_backup.anonymise.survivors import Survivor
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.postgres.client import Postgres
    from korrigo_backup.run.step import Listener

_BATCH = 5000
_SHOWN = 10


@dataclass(frozen=True)
class Anonymiser:
    """Rules, and the facts about the site's path columns: their prefixes, and the roots of absolute paths.

    `hooks` is the site's own class that scrubs, which is not run, "" without one.
    """

    rules: Rules
    columns: tuple[PathColumn, ...] = ()
    roots: tuple[str, ...] = ()
    hooks: str = ""

    def require_names(self, dump: Artifact) -> None:
        """Raise UsageError for a table or column of the rules that a dump does not have; its rows are not read.

        A dump that cannot be read passes: the drill reads it, and finds the fault.
        """
        try:
            with open_plain(dump.path) as file:
                tables = dumped_tables(gunzip(iter(lambda: file.read(CHUNK), b""), dump.name), dump.name)
        except (OSError, ValueError, KorrigoBackupError):
            return
        require_names(self.rules, tables, dump.name)

    def run(self, server: Postgres, database: str, media: Path | None, listen: Listener) -> tuple[Finding, ...]:
        """Anonymise database and files, and search both for original values; return findings.

        `media` is the directory of the loaded files. Raises UsageError and Refused as `assign`, OriginalsLeft if a
        value or a file is still there.
        """
        files = CopyFiles(media) if media else None
        with opened_copy(server, database, self.rules) as copy:
            listen(AnonymisingCopy(database))
            if files:
                with explained("anonymise the files"):
                    files.change(self._named(copy))
                    files.change_others(self.rules.other_files)
            done = copy.replace()
            listen(SearchingOriginals())
            found, searched = survivors(copy.session, copy.assigned, self.rules.accept)
            if files:
                with explained("read the files"):
                    found += files.survivors()
            require_none(found)
            copy.session.run("COMMIT")
            copy.rewrite()
        hooks = (warning("anonymise.hooks", f"{self.hooks} (SCRUBBER_SERVICE_CLASS) was not run", _HOOKS),)
        return (*(hooks if self.hooks else ()), *_findings(done, searched, files, self.rules))

    def _named(self, copy: Copy) -> Iterator[NamedFile]:
        """Yield the files that the ruled columns name, before their rows change."""
        known = {(one.table, one.column): one for one in self.columns}
        for one in copy.assigned.ruled:
            if one.rule.act is not Act.FILES:
                continue
            query = _paths(one, known.get((one.table.table, one.column.name)), self.roots)
            copy.session.run(f"DECLARE named_files NO SCROLL CURSOR FOR {query}")
            while lines := copy.session.run(f"FETCH {_BATCH} FROM named_files").splitlines():
                for line in lines:
                    path, new = msgspec.json.decode(line, type=tuple[str, str])
                    yield NamedFile(path, new, FileAct(one.rule.argument), one.name)
            copy.session.run("CLOSE named_files")


def _paths(one: Ruled, known: PathColumn | None, roots: tuple[str, ...]) -> str:
    """Return the query for the path of each file that a column names, and its new path."""
    column = known or PathColumn(table=one.table.table, column=one.column.name, kind=PathKind.TEXT)
    found = select_column(column, one.table.sql, one.column.base)
    if one.rule.argument == FileAct.RENAME:
        prefix = f"{literal(column.prefix + '/')} || " if column.prefix else ""
        value = f"t.{identifier(one.column.name)}::text"
        found = (
            f"SELECT {prefix}{value} AS path, {prefix}{renamed(value)} AS new FROM {one.table.sql} t"
            f" WHERE t.{identifier(one.column.name)} <> ''"
        )
        return f"SELECT json_build_array({relative_path(roots)}, new) FROM ({found}) p"
    path = relative_path(roots)
    return f"SELECT json_build_array({path}, {path}) FROM ({found}) p WHERE path IS NOT NULL"


def require_none(found: list[Survivor]) -> None:
    """Raise OriginalsLeft, which names the columns and no value, if there are survivors."""
    if not found:
        return
    where = sorted({f"{one.column} (values of {one.of})" for one in found})
    raise OriginalsLeft(
        f"original values are left in {counted(len(where), 'place')}: {first_of(where, _SHOWN)}",
        hint="give these columns a rule (korrigo-backup drill --anonymise suggest prints one for each), empty their"
        " tables, or name them in `accept` if they hold nothing personal",
        state="the copy was removed; the live site was not touched",
    )


def _findings(done: Replaced, searched: int, files: CopyFiles | None, rules: Rules) -> Iterator[Finding]:
    yield from done.findings
    words = f"{counted(done.columns, 'column')} of {counted(done.tables, 'table')} replaced"
    if done.emptied:
        words += f"; emptied: {', '.join(done.emptied)}"
    yield ok("anonymise.replaced", words)
    if done.kept:
        kept = f"{counted(len(done.kept), 'column')} of text without a rule kept as they are"
        yield warning("anonymise.kept", f"{kept}: {first_of(done.kept, _SHOWN)}", _KEPT)
    if files:
        yield ok("anonymise.files", f"{files.replaced} files replaced, {files.removed} removed, {files.kept} kept")
        if files.kept and rules.other_files is FileAct.KEEP:
            others = f"{files.kept} files that no ruled column names are kept as they are"
            yield warning("anonymise.other_files", others, 'other_files = "remove" in the file of rules')
    yield ok("anonymise.checked", f"no original value was found in {counted(searched, 'column')}")


_HOOKS = "run its own steps on the copy, and give the columns that it changes a rule"
_KEPT = 'give each of them a rule ("keep" for harmless ones), then strict = true refuses a new one'
