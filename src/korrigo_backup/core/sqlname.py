"""Names of SQL objects, compared as identifiers: a name has the same text, whether it was quoted or not.

Which names are quoted depends on the keywords of the server's version, of pg_dump's version, and on
quote_all_identifiers.
"""

from __future__ import annotations

import re

_WORDS = """
all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case cast
char character check coalesce collate collation column concurrently constraint create cross current_catalog
current_date current_role current_schema current_time current_timestamp current_user dec decimal default deferrable
desc distinct do else end except exists extract false fetch float for foreign freeze from full grant greatest group
grouping having ilike in initially inner inout int integer intersect interval into is isnull join json json_array
json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize json_table json_value
lateral leading least left like limit localtime localtimestamp merge_action national natural nchar none normalize not
notnull null nullif numeric offset on only or order out outer overlaps overlay placing position precision primary real
references returning right row select session_user setof similar smallint some substring symmetric system_user table
tablesample then time timestamp to trailing treat trim true union unique user using values varchar variadic verbose
when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot
xmlserialize xmltable
"""

_RESERVED = frozenset(_WORDS.split())
"""Keywords that PostgreSQL 18 does not take as a name without quotes."""

_PART = re.compile(r'"((?:[^"]|"")*)"|([^".]+)')
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_SIMPLE = re.compile(r"[a-z_][a-z0-9_]*")


def normal_name(name: str) -> str:
    """Return a name, with its schema or without, quoted as PostgreSQL 18 quotes it."""
    return _PART.sub(_requoted, name)


def plain_name(name: str) -> str:
    """Return a name without the quotation marks that it may have."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def bare_name(name: str) -> str:
    """Return a text of names without quotation marks around plain words: a key for comparisons alone."""
    return _QUOTED.sub(lambda found: found[1] if _SIMPLE.fullmatch(found[1]) else found[0], name)


def _requoted(found: re.Match[str]) -> str:
    plain = found[1] if found[1] is not None else found[2]
    if _SIMPLE.fullmatch(plain):
        return f'"{plain}"' if plain in _RESERVED else plain
    return found[0]
