"""Prune on a target: decide about the copies there by the archive policy, as about the backups here. Only reads.

A copy is known by its signed receipt. It is good if all its objects are there with their sizes, and none was found
damaged. Besides the exemptions of the policy, the newest copy that was read back stays, and a locked copy stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

from korrigo_backup.artifact.artifact import Artifact
from korrigo_backup.artifact.header import ManifestHeader
from korrigo_backup.artifact.history import damaged
from korrigo_backup.artifact.kinds import KINDS, Kind, Origin
from korrigo_backup.artifact.naming import parse
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.errors import KorrigoBackupError, Unreachable
from korrigo_backup.retention import holds
from korrigo_backup.retention.hold import standing
from korrigo_backup.retention.policy import Decision, RetentionFacts, decide, keep_members, own_clock
from korrigo_backup.retention.prune import Meant, refusal
from korrigo_backup.run import journal
from korrigo_backup.run.step import Listener, silent
from korrigo_backup.targets.ledger import Ledger
from korrigo_backup.targets.receipt import SUFFIX, artifact_of, receipt_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from korrigo_backup.artifact.naming import Name
    from korrigo_backup.errors import Refused
    from korrigo_backup.retention.policy import Policy
    from korrigo_backup.targets.read_back import TargetReader
    from korrigo_backup.targets.receipt import Receipt


_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - in the zone of the site, as the stamp in a name


@dataclass(frozen=True)
class TargetPruneOptions:
    """The request: the policy of the target, the site's name, the time, the confirmations of a person."""

    policy: Policy
    name: str
    now: datetime
    meant: Meant
    listen: Listener = silent


@dataclass(frozen=True)
class TargetPruning:
    """The copies that would be kept and removed, why none may be removed, and the objects there with their sizes."""

    decisions: tuple[Decision, ...]
    refusal: Refused | None
    there: Mapping[str, int]

    @property
    def leaving(self) -> tuple[Artifact, ...]:
        """The copies that go; a restore point before its components."""
        gone = (decision.artifact for decision in self.decisions if decision.remove)
        return tuple(sorted(gone, key=lambda one: KINDS[one.kind].removal))

    @property
    def bytes(self) -> int:
        """The bytes of their own objects; stored media files are counted when they go."""
        return sum(artifact.size for artifact in self.leaving)


def plan(reader: TargetReader, options: TargetPruneOptions) -> TargetPruning:
    """Return the decision of the policy about each copy on a target.

    Refused if the holds cannot be read; Unreachable if the target does not answer.
    """
    directory = reader.catalog.directory
    held = standing(holds.read(directory), options.now)
    records = journal.read(directory)
    ledger = Ledger(directory, reader.destination.name)
    there, hidden = listed(reader)
    with reader.directory() as to:
        artifacts = list(_copies(reader, ledger, there, options.name, to))
        found = [line for line in ledger.lines.values() if line.bad]
        bad = {*damaged(records), *(line.artifact for line in found)}
        unusable = {*hidden, *(line.object for line in found)}
        good = _good(reader, {**there, **dict.fromkeys(unusable, -1)}, bad, to)
        facts = RetentionFacts(options.now, options.name, held, good)
        decisions = decide(artifacts, options.policy, facts)
    decisions = keep_members(_keep_locked(_keep_read_back(decisions, ledger), ledger, options.now))
    going = any(decision.remove for decision in decisions)
    command = f"korrigo-backup prune --on {reader.destination.name}"
    going = going or marks_path(reader).exists()  # objects that may go for their age
    why = refusal(decisions, records, options.now, options.meant, command) if going else None
    return TargetPruning(tuple(decisions), why, there)


def marks_path(reader: TargetReader) -> Path:
    """Return the file with the objects on a target that no receipt names, and since when."""
    return reader.catalog.directory / f".unnamed-{reader.destination.name}.json"


def listed(reader: TargetReader) -> tuple[dict[str, int], set[str]]:
    """Return the objects of the site with their sizes, and those below a delete marker."""
    found = list(reader.destination.target.list(f"{reader.site}/"))
    there = {one.name.partition("/")[2]: one.size for one in found}
    return there, {one.name.partition("/")[2] for one in found if one.is_hidden}


def _copies(reader: TargetReader, ledger: Ledger, there: Mapping[str, int], site: str, to: Path) -> Iterator[Artifact]:
    """Yield the copies on a target, by the ledger, and for those that it does not know by their receipts."""
    sizes: dict[str, int] = {}
    for name, size in there.items():
        sizes[artifact_of(name)] = sizes.get(artifact_of(name), 0) + size
    for name in sorted(there):
        artifact = name.removesuffix(SUFFIX)
        parsed = parse(artifact)
        if not name.endswith(SUFFIX) or parsed is None:
            continue
        line, size = ledger.sent(name), sizes[artifact]
        if line and line.created and line.size == there[name]:
            yield _artifact(reader, parsed, artifact, size, (line.created, line.components), site)
            continue
        receipt = authentic(reader, artifact, to)
        facts = (receipt.created, receipt.components) if receipt else None
        yield _artifact(reader, parsed, artifact, size, facts, site)


def authentic(reader: TargetReader, artifact: str, to: Path) -> Receipt | None:
    """Return the receipt of an artifact if this site has signed it; raises Unreachable."""
    try:
        receipt, signed = reader.receipt(artifact, to)
    except Unreachable:
        raise
    except KorrigoBackupError:
        return None
    ours = (receipt.site, receipt.artifact) == (reader.site, artifact)
    return receipt if ours and signed is Authenticity.AUTHENTIC else None


def _artifact(
    reader: TargetReader,
    parsed: Name,
    name: str,
    size: int,
    facts: tuple[datetime, Sequence[str]] | None,
    site: str,
) -> Artifact:
    """Return a copy as an artifact; without `facts` it is not ours, and stays."""
    created, head, signed = (own_clock(parsed.stamp) or _EPOCH).astimezone(), None, Authenticity.UNSIGNED
    if facts:
        created, signed = facts[0], Authenticity.AUTHENTIC
        database, media = (*facts[1], None, None)[:2]
        head = ManifestHeader(
            timestamp=parsed.stamp, format=1, kind=parsed.kind, origin=parsed.origin, site=site, environment=None,
            created=created, seconds=None, database_backup=database, media_backup=media, rows=None, files=None,
            digests=False, consistency=None,
        )  # fmt: skip
    return Artifact(
        directory=reader.catalog.directory, name=name, kind=parsed.kind, origin=parsed.origin, stamp=parsed.stamp,
        created=created, size=size, source=None, authenticity=signed, head=head,
    )  # fmt: skip


def _good(reader: TargetReader, there: Mapping[str, int], bad: set[str], to: Path) -> Callable[[Artifact], bool]:
    """Return whether a copy is whole there: its receipt is ours, and its objects have their sizes."""

    @cache
    def whole(name: str) -> bool:
        receipt = None if name in bad else authentic(reader, name, to)
        return (
            receipt is not None
            and all(there.get(one.name) == one.size for one in receipt.objects)
            and all(whole(component) for component in receipt.components)
        )

    return lambda artifact: whole(artifact.name)


def _keep_read_back(decisions: Sequence[Decision], ledger: Ledger) -> list[Decision]:
    """Keep of each kind the newest copy that was read back whole: all newer copies are believed, not proven."""
    newest: dict[Kind, Decision] = {}
    for decision in decisions:
        line = ledger.sent(receipt_name(decision.artifact.name))
        if line and line.read and not line.bad and decision.artifact.origin is Origin.ROUTINE:
            before = newest.get(decision.artifact.kind)
            if before is None or before.artifact.created < decision.artifact.created:
                newest[decision.artifact.kind] = decision
    kept = {decision.artifact.name for decision in newest.values()}
    return [
        Decision(one.artifact, remove=False, reason="the newest copy that was read back")
        if one.remove and one.artifact.name in kept
        else one
        for one in decisions
    ]


def _keep_locked(decisions: Sequence[Decision], ledger: Ledger, now: datetime) -> list[Decision]:
    kept = []
    for one in decisions:
        line = ledger.sent(receipt_name(one.artifact.name))
        end = line.locked_until if line else None
        if one.remove and end and end > now:
            kept.append(Decision(one.artifact, remove=False, reason=f"locked there until {end:%Y-%m-%d}"))
        else:
            kept.append(one)
    return kept
