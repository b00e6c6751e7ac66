"""The table of backups on the admin page: a page of rows, of all kinds or of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core.paginator import Paginator
from django.utils.translation import pgettext

from korrigo_backup.artifact.history import members_of, proven, suspects
from korrigo_backup.artifact.kinds import Kind
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.djangoapp.status.wording import in_language, kind_label, local, origin_label, proof_label
from korrigo_backup.retention.hold import standing
from korrigo_backup.status.good import of_this_site, rows_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.status.model import Facts

ON_A_PAGE = 25
"""Backups in the table at once."""


@dataclass(frozen=True)
class Row:
    """A backup in the table. Times are in the reader's zone, the size in bytes.

    `proof` is the proof that its manifest allows, `restored` when a load of it was last proven to equal the saved data,
    `hold` the holder and the reason.
    """

    name: str
    kind: str
    origin: str
    created: datetime
    size: int
    rows: int | None
    files: int | None
    seconds: float | None
    proof: str
    restored: datetime | None
    hold: str
    problem: str | None
    is_of_this_site: bool


class Notes:
    """Facts about artifacts besides their manifests, by their names.

    `restored` is when a load of an artifact was last proven to equal the saved data. A load of a restore point always
    has its database in it, and its media only where there was room, so it counts for the database alone.
    `bad` says why an artifact may be bad; `holds` is None if they cannot be read.
    """

    def __init__(self, facts: Facts, now: datetime) -> None:
        """Collect them from `facts`; holds count that stand at `now`."""
        self.facts = facts
        self.bad = suspects(facts.records, facts.artifacts)
        self.holds = None if facts.held_unread else standing(facts.holds, now)
        dumps = {one.name: one.header.database_backup for one in facts.artifacts if one.header and members_of(one)}
        proofs = [proof for record in facts.records if (proof := proven([record]))]
        self.restored = {name: proof.at for proof in proofs for name in (proof.what, dumps.get(proof.what)) if name}

    def problem(self, artifact: Artifact) -> str | None:
        """Return why an artifact must not be used, None if nothing is known against it."""
        if artifact.authenticity is Authenticity.FORGED:
            return str(pgettext("korrigo_backup", "its manifest was altered"))
        if artifact.problem:
            return in_language(artifact.problem)
        return in_language(self.bad[artifact.name].rstrip(": ")) if artifact.name in self.bad else None


def table(facts: Facts, notes: Notes, query: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of the table; `query` may hold its page (`p`) and the kind (`kind`)."""
    there = {artifact.kind for artifact in facts.artifacts}
    kind = next((kind for kind in Kind if kind == query.get("kind")), None)
    listed = [artifact for artifact in facts.artifacts if kind in {None, artifact.kind}]
    shown = Paginator(listed, ON_A_PAGE).get_page(query.get("p"))
    return {
        "kinds": [(one.value, kind_label(one), one is kind) for one in Kind if one in there],
        "kind": kind,
        "table": shown,
        "rows": [row(artifact, notes) for artifact in shown.object_list],
        "holds": len(notes.holds) if notes.holds is not None else None,
    }


def row(artifact: Artifact, notes: Notes) -> Row:
    """Return an artifact as a row."""
    head, restored = artifact.header, notes.restored.get(artifact.name)
    hold = (notes.holds or {}).get(artifact.name)
    return Row(
        name=artifact.name,
        kind=kind_label(artifact.kind),
        origin=origin_label(artifact.origin),
        created=local(artifact.created),
        size=artifact.size,
        rows=rows_of(artifact),
        files=head.files if head else None,
        seconds=head.seconds if head else None,
        proof=proof_label(artifact),
        restored=restored and local(restored),
        hold=in_language(hold.described()) if hold else "",
        problem=notes.problem(artifact),
        is_of_this_site=of_this_site(artifact, notes.facts),
    )
