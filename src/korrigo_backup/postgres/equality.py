"""The equality of types that have one of their own, outside of pg_catalog: citext, and types of other extensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.sqlname import normal_name

if TYPE_CHECKING:
    from korrigo_backup.postgres.client import Session

OPERATOR = """json_build_object('operator', quote_ident(s.nspname) || '.' || p.oprname,
    'left', CASE l.typtype WHEN 'p' THEN '' ELSE format_type(l.oid, NULL) END,
    'right', CASE r.typtype WHEN 'p' THEN '' ELSE format_type(r.oid, NULL) END)"""
"""The JSON of an `Equality`: operator `p` of schema `s`, with the types `l` and `r` of its sides."""

OPERATOR_FROM = """pg_operator p JOIN pg_namespace s ON s.oid = p.oprnamespace
    JOIN pg_type l ON l.oid = p.oprleft JOIN pg_type r ON r.oid = p.oprright"""

# A key has the equality of its index, another column the default of its type, or of the type below a domain.
_EQUALITIES = f"""
WITH RECURSIVE kind AS (
  SELECT t.oid, t.oid AS base FROM pg_type t
  UNION ALL SELECT k.oid, t.typbasetype FROM kind k JOIN pg_type t ON t.oid = k.base WHERE t.typtype = 'd'
), equal AS (
  SELECT o.oid AS class, o.opcintype AS kind, o.opcdefault AS usual, m.amname, {OPERATOR} AS found
  FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod
  JOIN pg_amop f ON f.amopfamily = o.opcfamily AND f.amoplefttype = o.opcintype AND f.amoprighttype = o.opcintype
    AND f.amopstrategy = CASE m.amname WHEN 'btree' THEN 3 WHEN 'hash' THEN 1 END
  JOIN ({OPERATOR_FROM}) ON p.oid = f.amopopr WHERE s.nspname <> 'pg_catalog'
), candidate AS (
  SELECT i.indrelid AS place, k.number, NOT i.indisprimary AS rank, 0 AS rank2, e.found
  FROM pg_index i, unnest(i.indkey, i.indclass) WITH ORDINALITY k (number, class, place), equal e
  WHERE i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AND e.class = k.class AND k.number > 0
  UNION ALL SELECT a.attrelid, a.attnum, true, 1 + (e.amname = 'hash')::int, e.found
  FROM pg_attribute a JOIN kind k ON k.oid = a.atttypid JOIN equal e ON e.kind = k.base AND e.usual
  WHERE a.attnum > 0 AND NOT a.attisdropped
)
SELECT coalesce(json_agg(json_build_array(place, attname, found)), '[]') FROM (
  SELECT DISTINCT ON (x.place, x.number) quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS place, a.attname,
    x.found
  FROM candidate x JOIN pg_class c ON c.oid = x.place JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = x.place AND a.attnum = x.number
  WHERE c.relkind IN ('r', 'p') ORDER BY x.place, x.number, x.rank, x.rank2) y
"""


class Equality(msgspec.Struct, frozen=True):
    """An operator with its schema, and the types of its sides, "" for a type that stands for several."""

    operator: str
    left: str
    right: str

    def holds(self, left: str, right: str) -> str:
        """Return the condition that two expressions are equal.

        Both are cast: else an operator of the same name and schema for a domain would be taken before this one.
        """
        sides = (f"({side})::{kind}" if kind else side for side, kind in ((left, self.left), (right, self.right)))
        return f" OPERATOR({self.operator}) ".join(sides)


def equal(equality: Equality | None, left: str, right: str) -> str:
    """Return the condition that two expressions are equal; None is the equality of pg_catalog."""
    return equality.holds(left, right) if equality else f"{left} = {right}"


def equalities(session: Session) -> dict[str, dict[str, Equality]]:
    """Return by table and column the equalities that are not those of pg_catalog."""
    found: dict[str, dict[str, Equality]] = {}
    for table, column, one in session.ask(_EQUALITIES, list[tuple[str, str, Equality]]):
        found.setdefault(normal_name(table), {})[column] = one
    return found
