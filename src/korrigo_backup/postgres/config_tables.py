"""SQL about tables `c` (pg_class) that need care when their rows are read.

An extension marks tables whose rows its users write, and pg_dump saves those rows: cron jobs, partition sets, private
spatial reference systems (`pg_extension_config_dump` in an extension's script). And the planner evaluates the
expressions of indexes and statistics in any query of a table, so their functions must find the names that they use.
"""

from __future__ import annotations

from korrigo_backup.postgres.schema_details import FIRST_NORMAL_OID

CONFIG_TABLES = f"""
SELECT x.oid, x.condition, e.extname AS extension
FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS x(oid, condition)
WHERE e.oid >= {FIRST_NORMAL_OID}
"""
"""Each such table or sequence with SQL that follows its name (`WHERE …`, perhaps empty); PostgreSQL's own have none."""

COMPUTES = """
EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL))
OR EXISTS (SELECT FROM pg_statistic_ext x WHERE x.stxrelid = c.oid AND to_jsonb(x) ->> 'stxexprs' IS NOT NULL)
"""
"""Whether an index or a statistic of the table has an expression."""
