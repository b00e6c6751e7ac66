"""Statements of a dump that may fail on good data, rewritten so that the load goes on and reports the failures.

Three things break the load of a backup whose rows are all there: a constraint or an index that its own rows break, a
function that names others without their schema (a dump sets an empty search path), and a CHECK that reads a table whose
rows come later. So

* indexes, constraints and refreshes of materialised views are executed inside a DO block, which catches the failure:
  tries again with the search path of the saved database, else adds the constraint as NOT VALID, else leaves it out;
* CHECK constraints that call functions of the site are dropped before the first rows and added after the last.

All is SQL that the server runs, in any kind of session and inside of any transaction. The failures are kept in a
setting of the session, `korrigo_backup.failed`, as a list in JSON.

One file: the rewritings share the DO block and the setting that it writes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.finding import warning
from korrigo_backup.errors import ProofFailed
from korrigo_backup.postgres.difference import Difference, name, parts
from korrigo_backup.postgres.dump.scan import Sort
from korrigo_backup.postgres.sql import identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from korrigo_backup.core.finding import Finding
    from korrigo_backup.postgres.dump.scan import ScanResult
    from korrigo_backup.postgres.server_error import ServerError

Edit = tuple[int, bytes, bytes]
"""Offset in the decompressed dump, the text there, and its replacement."""

FAILED = "coalesce(current_setting('korrigo_backup.failed', true), '')"
"""SQL that returns the failures in this session so far."""

_NAME = rb'(?:"(?:[^"]|"")+"|[^\s".(;]+)'
_INDEX = re.compile(
    rb"CREATE (UNIQUE )?INDEX (" + _NAME + rb") ON (?:ONLY )?(" + _NAME + rb")\.(" + _NAME + rb") .*", re.DOTALL
)
_CONSTRAINT = re.compile(
    rb"ALTER (?:TABLE|DOMAIN)(?: ONLY)? (" + _NAME + rb"\." + _NAME + rb")\s+ADD CONSTRAINT (" + _NAME + rb") "
    rb"(FOREIGN KEY|CHECK|UNIQUE|PRIMARY KEY|EXCLUDE|NOT NULL) ?.*",
    re.DOTALL,
)
_REFRESH = re.compile(rb"REFRESH MATERIALIZED VIEW (" + _NAME + rb"\." + _NAME + rb")")


_QUOTING = frozenset({"22", "P0"})
"""Classes of errors whose message quotes a value (data exception), or is made by a function (RAISE)."""

_ALWAYS_PROVEN = frozenset({"table", "sequence", "large-objects"})
"""Kinds of differences that no failed statement of a load explains."""


class StatementOutcome(StrEnum):
    """How a statement came to its end."""

    WITH_PATH = "with path"
    NOT_VALID = "not valid"
    LEFT_OUT = "left out"


class Failure(msgspec.Struct, frozen=True):
    """A statement that failed as it stands in the dump: the name of its object and the outcome."""

    name: str
    outcome: StatementOutcome
    sqlstate: str
    message: str
    detail: str
    context: str
    statement: str

    @property
    def kind(self) -> str:
        """The kind of the object; "" where the statement has no name."""
        return parts(self.name)[0]

    @property
    def account(self) -> tuple[str, str]:
        """Why it failed, and the detail, which may quote rows and goes into neither journal nor notification."""
        quotes = self.sqlstate[:2] in _QUOTING
        parts = (self.message if quotes else "", self.detail, self.context)
        return f"SQLSTATE {self.sqlstate}" if quotes else self.message, " ".join(filter(None, parts))


@dataclass(frozen=True)
class Guarded:
    """A statement that is to be executed with care."""

    name: str
    statement: bytes
    or_not_valid: bool = False


def guarded(statement: bytes) -> Guarded:
    """Return the guarded form of a statement.

    A statement about a property of an object, as a comment on an index, has no name: the proof names a missing
    property.
    """
    if found := _INDEX.fullmatch(statement):
        return Guarded(name("index", _text(found[3] + b"." + found[2])), statement)
    if found := _CONSTRAINT.fullmatch(statement):
        valid = found[3] in {b"FOREIGN KEY", b"CHECK"} and not statement.endswith(b" NOT VALID")
        return Guarded(name("constraint", _text(found[1] + b"." + found[2])), statement, valid)
    if found := _REFRESH.fullmatch(statement):
        return Guarded(name("view", _text(found[1])), statement)
    return Guarded("", statement)


def guarding(
    scan: ScanResult, search_path: tuple[str, ...], *, without: Iterable[Sort] = (), with_path: bool = False
) -> tuple[Edit, ...]:
    """Return the edits of a dump; `search_path` is that of the saved database.

    Statements of the sorts `without` are left out. With `with_path` the whole dump is loaded with that search path.
    """
    made = [(offset, text, b"") for offset, text in scan.without(*without)]
    made += _guards(scan, search_path)
    if scan.rows_begin is not None:
        made.append((scan.rows_begin, b"", _block(_TAKE_CHECKS)))
        made.append((scan.rows_end, b"", b"\n" + _block(_GIVE_CHECKS, search_path)))
    if with_path:
        value = _quoted(_path(search_path).encode())
        made += [
            (offset, text, text.replace(b"'search_path', ''", b"'search_path', " + value))
            for offset, text in scan.places[Sort.SEARCH_PATH]
        ]
    return tuple(sorted(made, key=lambda one: (one[0], len(one[1]))))


def path_may_help(problem: ServerError, search_path: tuple[str, ...]) -> bool:
    """Return whether a load failed for a name that was not found, so that the saved search path may find it."""
    return bool(search_path) and problem.sqlclass == _NAMES and problem.sqlstate not in _NO_NAMES


def loaded_with_path(problem: ServerError, search_path: tuple[str, ...]) -> Finding:
    """Return the finding about a dump that is loaded once more, with the search path of the saved database."""
    words = f"the backup loads only with the search path {', '.join(search_path)}: {problem.message}"
    return warning("load.search_path", words, _FUNCTION, problem.context)  # the context may quote the row


_NAMES = "42"
_NO_NAMES = frozenset({"42501", "42601"})
"""A right that is missing and a syntax error are of the same class."""


def _guards(scan: ScanResult, search_path: tuple[str, ...]) -> Iterator[Edit]:
    """Yield the guarded statements; views are refreshed before the first event trigger, which would see it."""
    triggers = scan.places[Sort.EVENT_TRIGGER]
    first = triggers[0][0] if triggers else None
    moved = []
    for offset, text in scan.places[Sort.GUARDED]:
        one = guarded(text.removesuffix(b";"))
        block = _guard(one, search_path)
        if first is not None and offset > first and text.startswith(b"REFRESH"):
            yield offset, text, b""
            moved.append(block)
        else:
            yield offset, text, block
    if first is not None and moved:
        yield first, b"", b"".join(moved)


def failures(raw: bytes) -> tuple[Failure, ...]:
    """Return the failures in the answer to FAILED. Raises ProofFailed if the dump has written another text there."""
    text = raw.decode(errors="replace")
    try:
        return msgspec.json.decode(text, type=tuple[Failure, ...]) if text else ()
    except msgspec.DecodeError:
        raise ProofFailed(
            "a statement of the dump has changed the setting korrigo_backup.failed, in which its load is noted",
            hint="do not load it: no dump by pg_dump does that; ask the person who made it",
        ) from None


def without_proof(failed: Iterable[Failure]) -> frozenset[str]:
    """Return the names of differences that a failed statement explains: never rows, positions or large objects."""
    return frozenset(one.name for one in failed if one.kind not in _ALWAYS_PROVEN)


def report_failures(failed: tuple[Failure, ...], report: Callable[[Finding], None]) -> list[Difference]:
    """Report the failures that were made good, and return the missing objects: those must be accepted.

    A foreign key or CHECK that is NOT VALID binds new rows as it did before. A materialised view is filled by hand.
    """
    missing = []
    for one in failed:
        why, detail = one.account
        kind, of = parts(one.name)
        match one.outcome:
            case StatementOutcome.WITH_PATH:
                words = f"{one.name or one.statement} needs the search path of the saved database: {why}"
                report(warning("load.search_path", words, _FUNCTION, detail))
            case StatementOutcome.NOT_VALID:
                last = of.removeprefix(f"{_table(of)}.")
                repair = f"mend the rows that break it, then: ALTER TABLE {_table(of)} VALIDATE CONSTRAINT {last}"
                report(warning("load.not_valid", f"{of} is NOT VALID: saved rows break it: {why}", repair, detail))
            case StatementOutcome.LEFT_OUT if kind == "view":
                words = f"the materialised view {of} is not filled: {why}"
                report(warning("load.not_filled", words, one.statement, detail))
            case StatementOutcome.LEFT_OUT if one.name:
                words = f"{kind} {of} cannot be made: {why}"
                missing.append(Difference(one.name, words, repair=one.statement, detail=detail))
    return missing


_FUNCTION = "give the function that is named its path: ALTER FUNCTION … SET search_path = …"


def _table(of: str) -> str:
    """Return the table in `schema.table.constraint`, each perhaps quoted."""
    parts = _PARTS.findall(of)
    return ".".join(parts[:2])


_PARTS = re.compile(r'"(?:[^"]|"")+"|[^".]+')


def implied(missing: list[Difference]) -> frozenset[str]:
    """Return the names of the differences that follow from objects that are missing."""
    names = set()
    for one in missing:
        kind, of = parts(one.name)
        names.add(one.name)
        if kind == "index":
            names.add(name("comment", f"index {of}"))
        else:
            table, last = _table(of), of.removeprefix(f"{_table(of)}.")
            index = f"{(_PARTS.findall(of) or [''])[0]}.{last}"
            kinds = (f"index {index}", f"table constraint {last} on {table}", f"domain constraint {last} on {table}")
            names |= {name("index", index), *(name("comment", each) for each in kinds)}
    return frozenset(names)


def _guard(one: Guarded, search_path: tuple[str, ...]) -> bytes:
    body = _GUARD.replace(b"{instead}", _OR_NOT_VALID if one.or_not_valid else b"")
    return _block(body, search_path, _quoted(one.statement), _quoted(one.name.encode(errors="surrogateescape")))


def _block(body: bytes, search_path: tuple[str, ...] = (), statement: bytes = b"", called: bytes = b"") -> bytes:
    """Return a DO block; the statement is put in last, so that no text in it is taken for a placeholder.

    Our words stand on a single line: psql repeats them after the code of an error, and keeps the last lines alone.
    """
    body = b" ".join(body.replace(b"{keep}", _KEEP).split()).replace(b"{path}", _quoted(_path(search_path).encode()))
    tag = _tag(body + statement + called)
    before, _, after = body.partition(b"{statement}")
    body = before.replace(b"{name}", called) + statement + after.replace(b"{name}", called)
    return b"DO $%b$%b$%b$;" % (tag, body, tag)


def _quoted(text: bytes) -> bytes:
    """Return a text between dollar quotes, which mean the same under every setting."""
    tag = _tag(text)
    return b"$%b$%b$%b$" % (tag, text, tag)


def _tag(text: bytes) -> bytes:
    """Return a dollar-quote tag that is not in a text."""
    number = 0
    while b"$kb%d$" % number in text:
        number += 1
    return b"kb%d" % number


def _path(search_path: tuple[str, ...]) -> str:
    return ", ".join(identifier(schema) for schema in search_path)


def _text(quoted: bytes) -> str:
    return quoted.decode(errors="surrogateescape")


# No loss of the connection, of room or of a lock is caught, nor a missing right: these are no faults of the statement.
# A view may also fail for reasons outside the database: its query may need another server, or a right.
_PLACE = b"code ~ '^(25|40|53|55P03|57|58)' OR (code ~ '^(42501|XX)' AND called NOT LIKE 'view:%')"

_KEEP = b"""PERFORM pg_catalog.set_config('korrigo_backup.failed', (
  coalesce(nullif(pg_catalog.current_setting('korrigo_backup.failed', true), ''), '[]')::jsonb
  || jsonb_build_object('name', called, 'outcome', outcome, 'sqlstate', code, 'message', words,
                        'detail', coalesce(detail, ''), 'context', split_part(coalesce(context, ''), E'\\n', 1),
                        'statement', CASE WHEN length(statement) < 2000 THEN statement ELSE '' END))::text, false);"""

_DECLARE = b"""DECLARE
  path text := pg_catalog.current_setting('search_path');
  code text; words text; detail text; context text; outcome text := 'left out';
"""

_CATCH = (
    b"""EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, words = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
    context = PG_EXCEPTION_CONTEXT;
  IF """
    + _PLACE
    + b""" THEN RAISE; END IF;
  IF code ~ '^(22|38|39|42|P0)' AND {path} <> '' THEN
    BEGIN
      PERFORM pg_catalog.set_config('search_path', {path}, false);
      EXECUTE statement;
      outcome := 'with path';
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
    PERFORM pg_catalog.set_config('search_path', path, false);
  END IF;
  {instead}
  {keep}
"""
)

_OR_NOT_VALID = b"""IF outcome = 'left out' THEN
    BEGIN
      EXECUTE statement || ' NOT VALID';
      outcome := 'not valid';
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END IF;"""

_GUARD = (
    _DECLARE
    + b"""  called text := {name}; statement text := {statement};
BEGIN
  EXECUTE statement;
"""
    + _CATCH
    + b"""END"""
)

# Functions of an extension count where they are not immutable: such a function may read a table of the extension.
_TAKE_CHECKS = b"""DECLARE
  one record;
  kept jsonb := '[]';
BEGIN
  FOR one IN
    SELECT c.conname, c.oid, CASE WHEN c.conrelid <> 0 THEN 'TABLE ' || c.conrelid::regclass::text
                                  ELSE 'DOMAIN ' || c.contypid::regtype::text END AS owner,
           CASE WHEN c.conrelid <> 0 THEN c.conrelid::regclass::text ELSE c.contypid::regtype::text END AS of,
           pg_get_constraintdef(c.oid) AS definition, obj_description(c.oid, 'pg_constraint') AS comment
    FROM pg_constraint c
    WHERE c.contype = 'c' AND (c.conislocal OR c.conrelid = 0) AND EXISTS (
      SELECT FROM pg_depend d LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
      JOIN pg_proc p ON p.oid = CASE WHEN o.oid IS NULL THEN d.refobjid ELSE o.oprcode END
      WHERE d.classid = 'pg_constraint'::regclass AND d.objid = c.oid
        AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass) AND p.oid >= 16384
        AND (p.provolatile <> 'i' OR NOT EXISTS (
          SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')))
    AND NOT EXISTS (SELECT FROM pg_depend e
                    WHERE e.deptype = 'e' AND e.objid = CASE WHEN c.conrelid <> 0 THEN c.conrelid ELSE c.contypid END
                      AND e.classid = CASE WHEN c.conrelid <> 0 THEN 'pg_class'::regclass ELSE 'pg_type'::regclass END)
    ORDER BY c.conrelid, c.conname
  LOOP
    kept := kept || jsonb_build_object('name', format('constraint:%s.%I', one.of, one.conname),
      'statement', format('ALTER %s ADD CONSTRAINT %I %s', one.owner, one.conname, one.definition),
      'comment', format('COMMENT ON CONSTRAINT %I ON %s IS %L', one.conname,
        CASE WHEN one.owner LIKE 'DOMAIN %' THEN one.owner ELSE one.of END, one.comment));
    EXECUTE format('ALTER %s DROP CONSTRAINT IF EXISTS %I', one.owner, one.conname);
  END LOOP;
  PERFORM pg_catalog.set_config('korrigo_backup.checks', kept::text, false);
END"""

_GIVE_CHECKS = (
    b"""DECLARE
  path text := pg_catalog.current_setting('search_path');
  one record; code text; words text; detail text; context text; outcome text; statement text; called text;
BEGIN
  FOR one IN SELECT c ->> 'name' AS name, c ->> 'statement' AS statement, c ->> 'comment' AS comment
    FROM jsonb_array_elements(pg_catalog.current_setting('korrigo_backup.checks')::jsonb) c
  LOOP
    called := one.name; statement := one.statement; outcome := 'left out';
    BEGIN
      EXECUTE statement;
    """
    + _CATCH.replace(b"{instead}", _OR_NOT_VALID)
    + b"""
    END;
    IF one.comment NOT LIKE '% IS NULL' THEN EXECUTE one.comment; END IF;
  END LOOP;
END"""
)
