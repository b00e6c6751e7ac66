"""The status as metrics, in Prometheus' text format (version 0.0.4).

Written here rather than by Prometheus' own client: the site's backend gives the same text and has no room for another
library, and a persistent registry has no use for values that are computed anew each time. An unknown value has no
sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from korrigo_backup import __version__
from korrigo_backup.artifact.history import READS
from korrigo_backup.core.finding import Level

if TYPE_CHECKING:
    from datetime import datetime

    from korrigo_backup.artifact.history import Failing
    from korrigo_backup.status.model import Good, Space, Status, TargetCopies

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The content type that a web server sends with the text."""

_PREFIX = "korrigo_backup"

BEGIN = f"# HELP {_PREFIX}_"
"""The beginning of the text: a file that begins with it holds our metrics."""

Sample = tuple[Mapping[str, str], float | None]
Family = tuple[str, str, Iterable[Sample]]
"""Name without its prefix, help, and samples; every family is a gauge: it can go down."""


def metrics(status: Status) -> str:
    """Return all metrics of a status; each sample has the labels `site` and `environment`, where they are known."""
    own = _labels(status)
    return "".join(line for family in _families(status) for line in _family(family, own))


def samples(status: Status) -> list[dict[str, object]]:
    """Return the known samples of all metrics as records: name, labels, value."""
    own = _labels(status)
    return [
        {"name": f"{_PREFIX}_{name}", "labels": {**own, **labels}, "value": value}
        for name, _, found in _families(status)
        for labels, value in found
        if value is not None
    ]


def _labels(status: Status) -> dict[str, str]:
    named = (("site", status.facts.site), ("environment", status.facts.environment))
    return {name: value for name, value in named if value is not None}


def _families(status: Status) -> Iterator[Family]:
    yield from _general(status)
    yield from _of_kinds(status.good)
    yield from _attention(status)
    yield from _space(status.space)


def _general(status: Status) -> Iterator[Family]:
    yield _one("generated_timestamp_seconds", "When this was computed: alarm when it grows old.", _unix(status.now))
    yield "info", "The version.", [({"version": __version__}, 1)]
    yield _one("overdue", "Whether the newest good database backup is older than it may be.", status.overdue)
    yield _one(
        "rpo_seconds", "How old the newest database backup may be, 0 for any age.", status.goals.rpo_hours * 3600
    )
    facts, verified, proven = status.facts, status.verified, status.proven
    yield _one(
        "last_verified_timestamp_seconds",
        "When a backup was last read whole and found good.",
        _unix(verified.at) if verified else None,
    )
    yield _one(
        "last_proven_timestamp_seconds",
        "When a backup was last loaded and its content proven.",
        _unix(proven.at) if proven else None,
    )
    yield _one("last_proven_duration_seconds", "How long that took.", proven.seconds if proven else None)
    recovery = proven.recovery if proven else None
    yield _one("last_proven_recovery_seconds", "The recovery time that a drill measured with it.", recovery)
    yield _one("last_proven_downtime_seconds", "How long the site was down.", proven.downtime if proven else None)
    yield _one("copies", "Places that hold the data, the live site among them.", status.copies.places)
    yield _one("copies_supports", "Supports that they are on.", status.copies.supports)
    yield _one("copies_off_site", "Places off site that hold the newest backup.", status.copies.off_site)
    yield _one("copies_immutable", "Places that keep it under a retention that was read back.", status.copies.immutable)
    targets = status.facts.targets

    def immutable(target: TargetCopies) -> int:
        return sum(copy.is_immutable(status.now) and not copy.bad for copy in target.copies)

    for name, words, value in (
        ("target_copies", "Whole copies on a target.", lambda one: sum(not copy.bad for copy in one.copies)),
        ("target_damaged", "Copies found damaged there.", lambda one: sum(bool(copy.bad) for copy in one.copies)),
        ("target_last_copied_timestamp_seconds", "When a backup was last copied there.", _last_sent),
        ("target_last_read_timestamp_seconds", "When a copy was last read back from there.", _last_read),
        ("target_immutable", "Copies under a retention that was read back and has not ended.", immutable),
        ("target_lock_read_timestamp_seconds", "When a retention was last read back from there.", _last_lock_read),
    ):
        yield name, words, [({"target": one.name}, value(one)) for one in targets]
    yield _one("holds", "Backups and kept copies that may not be removed.", len(status.holds))
    kept = None if facts.kept is None else len(facts.kept)
    yield _one("kept", "Previous copies that restores have kept.", kept)
    yield _one("running", "Whether a run is at work.", facts.holder is not None)
    skipped = status.skipped.count if status.skipped else 0
    yield _one("points_skipped", "Restore points of the last 24 hours that gave way to another run.", skipped)
    next_run = _unix(facts.next_run) if facts.next_run else None
    yield _one("next_run_timestamp_seconds", "When the schedule runs next.", next_run)


def _last_sent(target: TargetCopies) -> float | None:
    return max((_unix(copy.sent) for copy in target.copies), default=None)


def _last_read(target: TargetCopies) -> float | None:
    return max((_unix(copy.read) for copy in target.copies if copy.read), default=None)


def _last_lock_read(target: TargetCopies) -> float | None:
    return max((_unix(copy.lock_read) for copy in target.copies if copy.lock_read), default=None)


def _of_kinds(good: Iterable[Good]) -> Iterator[Family]:
    good = list(good)
    for name, words, value in (
        ("last_success_timestamp_seconds", "When the newest good backup was made.", lambda one: _unix(one.created)),
        ("last_size_bytes", "Its size.", lambda one: one.size),
        ("last_rows", "Its rows.", lambda one: one.rows),
        ("last_files", "Its files.", lambda one: one.files),
        ("last_duration_seconds", "How long it took.", lambda one: one.seconds),
        ("artifacts", "How many good backups there are.", lambda one: one.count),
        ("artifacts_bytes", "The size of all of them.", lambda one: one.bytes),
    ):
        yield name, words, [({"kind": one.kind.value}, value(one)) for one in good]


def _attention(status: Status) -> Iterator[Family]:
    failures = [({"operation": _operation(one)}, one.times) for one in status.failing]
    yield _one("failures", "Runs that failed since their kind last succeeded.", sum(n for _, n in failures))
    yield "attention", "Findings that need a person, by their id.", [
        ({"id": finding.id, "level": finding.level.value}, 1) for finding in status.attention
    ]  # fmt: skip
    errors = sum(finding.level is Level.ERROR for finding in status.attention)
    counts = (("error", errors), ("warning", len(status.attention) - errors))
    yield "findings", "How much needs a person.", [({"level": level}, count) for level, count in counts]


def _space(space: Space | None) -> Iterator[Family]:
    yield _one("free_bytes", "Free on the file system of the backups.", space.free if space else None)
    yield _one("total_bytes", "The size of that file system.", space.total if space else None)
    full = space.full_in_days * 86400 if space and space.full_in_days is not None else None
    yield _one("full_in_seconds", "When a backup will be refused for want of room, if it is known.", full)


def _one(name: str, words: str, value: float | None) -> Family:
    return name, words, [({}, value)]


def _unix(moment: datetime) -> float:
    return round(moment.timestamp(), 3)


def _operation(one: Failing) -> str:
    """Return the operation without the name of an artifact: a label must not have a value for every backup."""
    return one.verb if one.verb in READS else one.what


def _family(family: Family, own: Mapping[str, str]) -> Iterator[str]:
    name, words, samples = family
    known = [(labels, value) for labels, value in samples if value is not None]
    if not known:
        return
    yield f"{BEGIN}{name} {words}\n# TYPE {_PREFIX}_{name} gauge\n"
    for labels, value in dict.fromkeys((tuple({**own, **labels}.items()), value) for labels, value in known):
        text = ",".join(f'{label}="{_escaped(content)}"' for label, content in labels)
        yield f"{_PREFIX}_{name}{f'{{{text}}}' if text else ''} {_number(value)}\n"


def _number(value: float) -> str:
    """Return all digits: a size or a time must not be rounded."""
    return str(int(value)) if value == int(value) else repr(float(value))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
