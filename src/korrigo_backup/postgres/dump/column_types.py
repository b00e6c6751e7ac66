"""The types of a table's columns, as the CREATE TABLE of a dump has them."""

from __future__ import annotations

import re

_NAME = rb'(?:"(?:[^"]|"")+"|[a-z_][\w$]*)'
_CREATE = re.compile(rb"CREATE (?:UNLOGGED )?TABLE (" + _NAME + rb"(?:\." + _NAME + rb")?) \(\n(.*)", re.DOTALL)
_COLUMN = re.compile(
    rb"    (" + _NAME + rb") ((?:" + _NAME + rb"|[. ]|\(\d+(?:,-?\d+)?\)|\[\])+?)(?: [A-Z].*)?,?", re.ASCII
)
_PARENTS = re.compile(rb"\)\nINHERITS \((.*?)\)", re.DOTALL)
_PARENT = re.compile(_NAME + rb"(?:\." + _NAME + rb")?")


def created_table(statement: bytes) -> bytes | None:
    """Return the name of the table that a statement creates with its columns, None for another statement."""
    found = _CREATE.match(statement)
    return found[1] if found else None


def column_types(statement: bytes) -> dict[str, str]:
    """Return the type of each column of a CREATE TABLE as pg_dump writes it, by the column's name.

    A type consists of names, blanks, numbers in parentheses and `[]`, so that it is no other SQL.
    """
    types = dict[str, str]()
    found = _CREATE.match(statement)
    for line in found[2].split(b"\n") if found else ():
        if column := _COLUMN.fullmatch(line):
            name = column[1].decode(errors="backslashreplace")
            plain = name[1:-1].replace('""', '"') if name.startswith('"') else name
            types.setdefault(plain, column[2].decode(errors="backslashreplace"))
    return types


def parents(statement: bytes) -> list[bytes]:
    """Return the tables from which a created table inherits columns that its own statement does not have."""
    found = _PARENTS.search(statement)
    return _PARENT.findall(found[1]) if found else []
