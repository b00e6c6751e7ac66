"""Evaluate the content of a restored database, compared with the backup it came from."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import listed
from korrigo_backup.core.finding import Finding, Level, error, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from korrigo_backup.artifact.manifest import SchemaObject, TableProof

FEW_TABLES = 10
"""The runbook's least number of tables of a Korrigo site (5.6)."""


def judge_tables(there: Sequence[str], expected: Iterable[str] | None) -> list[Finding]:
    """Return the findings about which tables are there; `expected` are those of the backup, if there is one."""
    wanted = set(expected) if expected is not None else None
    if wanted is None and len(there) < FEW_TABLES:
        hint = "right for a small site; else look for missing tables: korrigo-backup validate BACKUP"
        found = f"Too few tables: {len(there)}"
        return [warning("validate.tables", found, hint) if there else error("validate.tables", found, _RESTORE)]
    missing = sorted(wanted - set(there)) if wanted else []
    if missing:
        one, names = len(missing) == 1, listed(missing)
        words = f"{counted(len(missing), 'table')} of the backup {'is' if one else 'are'} missing: {names}"
        return [error("validate.tables", words, _RESTORE)]
    findings = [ok("validate.tables", f"Database tables OK ({len(there)} tables)")]
    if extra := sorted(set(there) - wanted) if wanted else []:
        words = (
            f"{counted(len(extra), 'table')} {'is' if len(extra) == 1 else 'are'} not of the backup: {listed(extra)}"
        )
        hint = "right if a migration made them since; else find their origin"
        findings.append(warning("validate.tables", words, hint))
    return findings


def judge_rows(now: Iterable[TableProof], then: Iterable[TableProof], source: str, *, strict: bool) -> Finding:
    """Return the finding about rows: equal to the backup's, or the tables that differ.

    A site that serves writes, so a difference fails the check only with `strict`: nobody has written since. Tables that
    are on one side only are not compared.
    """
    saved, changed, rows, is_counted = {table.name: table for table in then}, [], 0, False
    for table in now:
        if (old := saved.get(table.name)) is None:
            continue
        rows += table.rows
        is_counted = is_counted or None in {table.digest, old.digest}
        if table.rows != old.rows:
            changed.append(f"{table.name} ({counted(old.rows, 'row')} then, {table.rows} now)")
        elif None not in {table.digest, old.digest} and table.digest != old.digest:
            changed.append(f"{table.name} (other content)")
    if not changed:
        proof = "counts as saved (digests were not taken)" if is_counted else "every digest as saved"
        return ok("validate.rows", f"Rows OK ({rows} rows as in {source}: {proof})")
    one, tables = len(changed) == 1, listed(changed)
    message = f"{counted(len(changed), 'table')} {'differs' if one else 'differ'} from {source}: {tables}"
    hint = "right if the site was used since; if it was not, the restore differs from the backup"
    return error("validate.rows", message, hint) if strict else warning("validate.rows", message, hint)


def without_erased(then: Iterable[TableProof], erased: Mapping[str, int]) -> tuple[TableProof, ...]:
    """Return the expected tables of a restore that has taken out rows; of these tables only the number is known."""
    return tuple(
        replace(table, rows=table.rows - erased[table.name], digest=None) if table.name in erased else table
        for table in then
    )


def judge_schema(
    now: Iterable[SchemaObject], then: Iterable[SchemaObject], source: str, *, strict: bool
) -> list[Finding]:
    """Return the finding about indexes, constraints, views, functions and the like, by kind and name.

    A migration since may have dropped an object, so a missing object fails the check only with `strict`. A backup that
    does not list them gives no finding.
    """
    saved = {(one.kind, one.name) for one in then}
    if not saved:
        return []
    missing = saved - {(one.kind, one.name) for one in now}
    if missing:
        names = listed([" ".join(one) for one in sorted(missing)])
        words = f"{counted(len(missing), 'object')} of {source} {'is' if len(missing) == 1 else 'are'} missing: {names}"
        hint = "right if a migration since has dropped them; else restore again, or go back: korrigo-backup rollback"
        return [error("validate.schema", words, hint) if strict else warning("validate.schema", words, hint)]
    return [ok("validate.schema", f"Schema OK ({counted(len(saved), 'object')} as in {source})")]


KNOWN = (
    "validate.health", "validate.tables", "validate.rows", "validate.schema", "validate.sequences", "validate.users",
    "validate.media", "validate.files", "validate.django", "validate.migrations", "media.unreferenced", "media.missing",
    "media.empty", "media.columns", "media.references", "validate.probe", "validate.superusers", "validate.database",
)  # fmt: skip
"""The findings of a validation that a site may accept."""


def accepted(finding: Finding, reasons: Mapping[str, str]) -> Finding:
    """Return a finding as the configuration has it: an accepted error is a warning, and carries the reason."""
    reason = reasons.get(finding.id)
    if reason is None or finding.level is Level.OK:
        return finding
    return replace(finding, level=Level.WARNING, accepted=reason, hint="")


def unknown_names(reasons: Mapping[str, str]) -> list[Finding]:
    """Return a warning for each accepted name that no validation makes."""
    found = []
    for name in sorted(reasons.keys() - set(KNOWN)):
        near = get_close_matches(name, KNOWN, n=1)
        words = f"[validate] accept names {name!r}, which is no finding of a validation"
        found.append(
            warning("validate.accept", words, f"did you mean {near[0]!r}?" if near else f"known: {', '.join(KNOWN)}")
        )
    return found


_RESTORE = "restore the backup again, or go back: korrigo-backup rollback"
