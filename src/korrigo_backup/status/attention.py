"""The findings that need a person, the most urgent first, each with the next command.

An error needs action now: the site would lose more than it may, or a backup will fail. A warning needs action this
week. Everything is computed from the status; no file is read here.

One file: every finding of the status, in the order of urgency.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import takewhile
from statistics import median
from typing import TYPE_CHECKING

from korrigo_backup.artifact.history import READS, partly
from korrigo_backup.artifact.kinds import KINDS, Kind
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding, Level, error, warning
from korrigo_backup.core.size import human
from korrigo_backup.erasure.requests import waiting_finding
from korrigo_backup.errors import ProofFailed
from korrigo_backup.run.record import Verb
from korrigo_backup.status.good import CLOCKS_DIFFER, good_artifacts, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.history import Failing
    from korrigo_backup.status.model import Facts, Good, Space, Status

SOON_FULL_DAYS = 30
"""Days before the disk is full from which on a warning is given; an error in the last week of them."""

ALMOST_FULL_DAYS = 7

LEAST_FREE = 0.10
"""The runbook's "more than 10 % free" (9.2)."""

USUAL = 7
"""How many backups before the newest give the usual size: a week."""

ENOUGH_USUAL = 3

FEWER_ROWS = 0.8
"""The part of the usual rows below which a backup is suspicious: rows vanish by accident or by an attacker."""

ENOUGH_ROWS = 100
"""A table with fewer rows is not compared: a share of them means little."""

SIZES = (0.5, 2.0)
"""The part of the usual size outside which a backup is suspicious: encrypted data do not compress."""

_MESSAGE = 200
"""Characters of a message of the journal that are shown."""


def attention(status: Status) -> tuple[Finding, ...]:
    """Return the findings that need a person: errors first, each group in the order of urgency."""
    facts = status.facts
    found = [
        *_surroundings(facts),
        *_age(status),
        *_failures(status),
        *_in_part(facts),
        *_broken(facts),
        *_space(status.space),
        *facts.canary,
        *_sudden(facts),
        *_schedule(facts),
        *_proof(status),
        *_signatures(status.good),
        *_other_key(facts),
        *_copies(status),
        *_targets(status),
        *_erasures(facts),
    ]
    wanted = [one for one in found if one.level is Level.ERROR or one.id not in status.goals.accepted]
    return tuple(sorted(wanted, key=lambda finding: finding.level is not Level.ERROR))


def _surroundings(facts: Facts) -> Iterator[Finding]:
    if facts.unreadable:
        message, hint = facts.unreadable
        yield error("status.unreadable", message, hint)
    elif not facts.there:
        yield error("status.directory", f"the backup directory {facts.directory} does not exist",
                    "check BACKUP_DIR, or make the first backup: korrigo-backup backup")  # fmt: skip
    if facts.stopped and not facts.holder:
        yield error("status.stopped", "an interrupted run has stopped the site's services and not started them again",
                    "korrigo-backup rollback finishes the interrupted run, and starts them")  # fmt: skip
    if facts.journal_unread:
        yield error("status.journal", f"the journal cannot be read, so failures are not known: {facts.journal_unread}",
                    f"see the owner and the kind of the file: ls -l {facts.directory}/.journal.jsonl")  # fmt: skip
    if facts.no_database:
        yield warning("status.database", *facts.no_database)
    if facts.open_mode is not None:
        yield warning("status.mode", f"others can look into the backup directory (mode {facts.open_mode:o})",
                      f"chmod 700 {facts.directory}")  # fmt: skip


def _erasures(facts: Facts) -> Iterator[Finding]:
    yield from (finding for finding in facts.ledger if finding.level is Level.ERROR)
    if facts.erasures:
        yield waiting_finding(facts.erasures)


def _age(status: Status) -> Iterator[Finding]:
    facts, goals = status.facts, status.goals
    if status.age is None:
        if facts.there and not facts.unreadable:
            yield error("status.none", "there is no good backup of the database",
                        "korrigo-backup backup")  # fmt: skip
    elif status.overdue:
        yield error("status.overdue",
                    f"the newest good backup of the database is {span(status.age)} old: more than the"
                    f" {goals.rpo_hours:g} h that may be lost",
                    "korrigo-backup backup; then find the reason that the schedule did not run")  # fmt: skip
    yield from _media_age(status)
    future = [one.name for one in good_artifacts(facts) if one.created > status.now + CLOCKS_DIFFER]
    if future:
        yield warning("status.future", f"dated in the future: {named(future)}: the clock of this machine has gone back,"
                      " or was wrong when it was made", "check the clock: timedatectl, date; if it is right, make"
                      " a backup, korrigo-backup backup, and remove those by hand")  # fmt: skip


def _media_age(status: Status) -> Iterator[Finding]:
    limit = status.goals.media_rpo_hours
    ages = [good.age for good in status.good if KINDS[good.kind].has_files and good.files is not None]
    if not ages and status.age is not None:
        yield warning("status.no_media", "there is no good backup of the media",
                      "korrigo-backup backup full")  # fmt: skip
    elif ages and 0 < limit * 3600 < min(ages):
        yield warning("status.media_overdue",
                      f"the newest good backup of the media is {span(min(ages))} old: more than"
                      f" {limit:g} h", "korrigo-backup backup full")  # fmt: skip


_AGAIN = {"django": "full --method django"}
"""The arguments of `backup`, for operations that the journal names differently."""


def _failures(status: Status) -> Iterator[Finding]:
    for one in status.failing:
        if one.is_backup:
            yield error(
                "status.failing", _failure(one), f"korrigo-backup backup {_AGAIN.get(one.subject, one.subject)}"
            )
        elif one.verb in READS and one.subject:
            yield from _unverified(one)
        else:
            yield warning("status.failed", _failure(one), f"see why, then: korrigo-backup {one.what} --help")


def _unverified(one: Failing) -> Iterator[Finding]:
    if one.exit_code == ProofFailed.exit_code:
        how = "failed its drill" if one.verb == Verb.DRILL else "does not verify"
        yield error("status.damaged", f"{one.subject} {how}: {one.message[:_MESSAGE]}",
                    "do not rely on it: korrigo-backup backup, and see dmesg for the disk")  # fmt: skip
    else:
        yield warning("status.failed", _failure(one), f"korrigo-backup {one.what}")


def _in_part(facts: Facts) -> Iterator[Finding]:
    record = partly(facts.records)
    if record:
        yield warning("status.partly", f"the newest backup is good, but then: {record.message[:_MESSAGE]}",
                      "correct the cause, then: korrigo-backup nightly")  # fmt: skip


def _failure(one: Failing) -> str:
    since = f"last good {one.succeeded:%Y-%m-%d %H:%M} UTC" if one.succeeded else "never good so far"
    if one.times == 1:
        return f"{one.what} failed once ({since}): {one.message[:_MESSAGE]}"
    return f"{one.what} failed {one.times:,} times ({since}): {one.message[:_MESSAGE]}"


def _broken(facts: Facts) -> Iterator[Finding]:
    if facts.held_unread:
        yield error("status.holds", *facts.held_unread)
    forged = [artifact.name for artifact in facts.artifacts if artifact.authenticity is Authenticity.FORGED]
    if forged:
        yield error("status.forged", f"altered after it was made: {named(forged)}",
                    "do not restore it; find the user or program that wrote to the backup directory")  # fmt: skip
    broken = [artifact.name for artifact in facts.artifacts if artifact.problem]
    if broken:
        yield warning("status.broken", f"no backup any more, its manifest cannot be used: {named(broken)}",
                      "see why: korrigo-backup show NAME; then remove it by hand")  # fmt: skip
    unread = [stranger.name for stranger in facts.strangers if stranger.ours]
    if unread:
        yield warning("status.unread", f"named like a backup, but no backup or unreadable: {named(unread)}",
                      f"look at it: ls -la {facts.directory}")  # fmt: skip


def _space(space: Space | None) -> Iterator[Finding]:
    if space is None:
        return
    hint = (
        "korrigo-backup prune shows what the policy removes; then a larger disk, or fewer days: BACKUP_RETENTION_DAYS"
    )
    if space.full_in_days is not None and space.full_in_days <= ALMOST_FULL_DAYS:
        yield error("status.full", f"the backup directory: {space.forecast}", hint)
    elif space.full_in_days is not None and space.full_in_days <= SOON_FULL_DAYS:
        yield warning("status.filling", f"the backup directory: {space.forecast}", hint)
    elif space.free_part < LEAST_FREE:
        yield warning("status.little", f"{space.free_part:.0%} of the backup directory's disk is free", hint)


def _sudden(facts: Facts) -> Iterator[Finding]:
    """Compare the newest backup of each kind with those before it."""
    good = good_artifacts(facts)
    for kind in (kind for kind in Kind if not KINDS[kind].components):
        alike = [artifact for artifact in good if artifact.kind is kind]
        newest, before = alike[:1], alike[1 : 1 + USUAL]
        if newest and len(before) >= ENOUGH_USUAL:
            yield from _against(newest[0], before)


def _against(newest: Artifact, before: Sequence[Artifact]) -> Iterator[Finding]:
    look = f"show {newest.name}" if KINDS[newest.kind].loaded_by_django else f"compare {before[0].name} {newest.name}"
    hint = f"see what it lacks: korrigo-backup {look}"
    rows, usual = rows_of(newest), median(rows_of(artifact) or 0 for artifact in before)
    if rows is not None and usual >= ENOUGH_ROWS and rows < FEWER_ROWS * usual:
        yield warning("status.rows", f"{newest.name} holds {counted(rows, 'row')}, usual are {usual:,.0f}", hint)
    size = median(artifact.size for artifact in before)
    if not SIZES[0] * size <= newest.size <= SIZES[1] * size:
        yield warning("status.size", f"{newest.name} has {human(newest.size)}, usual are {human(int(size))}", hint)


def _schedule(facts: Facts) -> Iterator[Finding]:
    if facts.scheduled is False:
        what = "no schedule is installed by this program: backups start only if another program starts them"
        yield warning("status.schedule", what, "korrigo-backup schedule install --systemd, or --cron")
    yield from (finding for finding in facts.schedule if finding.level is not Level.OK)


def _proof(status: Status) -> Iterator[Finding]:
    if not status.good:
        return
    if status.proven is None:
        yield warning("status.unproven", "no backup was ever proven by a restore",
                      _drill(status))  # fmt: skip
        return
    age = status.now - status.proven.at
    if age > timedelta(days=status.goals.proof_days):
        yield warning("status.proof_old", f"the last proof by a restore is {span(int(age.total_seconds()))} old",
                      _drill(status))  # fmt: skip


def _drill(status: Status) -> str:
    """Return the command that loads the newest backup into a scratch copy and proves it."""
    return f"korrigo-backup drill{' latest-point' if status.newest(Kind.POINT) else ''}"


def _signatures(good: Sequence[Good]) -> Iterator[Finding]:
    unsigned = [one.name for one in good if one.signature is Authenticity.UNSIGNED]
    if unsigned:
        yield warning("status.unsigned", f"not signed with this site's key: {named(unsigned)}",
                      "a restore will need --allow-unsigned; set KORRIGO_BACKUP_KEY_FILE, then: korrigo-backup backup"
                      " full")  # fmt: skip


def _other_key(facts: Facts) -> Iterator[Finding]:
    """Yield an error where newer backups than any that this key proves are signed with another key."""
    newer = takewhile(
        lambda one: one.authenticity is not Authenticity.AUTHENTIC, (one for one in facts.artifacts if one.ours)
    )
    foreign = [one.name for one in newer if one.authenticity is Authenticity.UNKNOWN_KEY]
    hint = (
        "name the key file of the user who makes them (cron and sudo have another HOME): KORRIGO_BACKUP_KEY_FILE, or"
        " [backup] key_file; a lost key: korrigo-backup adopt --new-key"
    )
    if foreign:
        yield error("status.other_key", f"signed with a key that is not here, so not proven: {named(foreign)}", hint)


def _copies(status: Status) -> Iterator[Finding]:
    if status.copies.supports == 1:
        yield warning("status.one_disk", "the backups lie on the same file system as the media: one fault takes both",
                      "set BACKUP_DIR to another disk, or name a target, then: korrigo-backup copy")  # fmt: skip


def _targets(status: Status) -> Iterator[Finding]:
    """Yield the findings about copies on other places, by the ledger of this host."""
    for target in status.facts.targets:
        bad = [copy.name for copy in target.copies if copy.bad]
        if bad:
            yield error("status.target_damaged", f"damaged on {target.name} when it was last read back: {named(bad)}",
                        f"korrigo-backup verify --on {target.name} NAME")  # fmt: skip
        limit = status.now - timedelta(hours=status.goals.rpo_hours)
        newest = max((copy.sent for copy in target.copies if not copy.bad), default=None)
        if status.goals.rpo_hours and (newest is None or newest < limit):
            since = f"since {newest:%Y-%m-%d %H:%M} UTC" if newest else "so far"
            yield warning("status.target_behind", f"nothing was copied to {target.name} {since}",
                          "korrigo-backup copy says why")  # fmt: skip
        read = max((copy.read for copy in target.copies if copy.read), default=None)
        if target.copies and (read is None or read < status.now - timedelta(days=status.goals.proof_days)):
            since = f"since {read:%Y-%m-%d} UTC" if read else "so far"
            yield warning("status.target_unread", f"no copy was read back from {target.name} {since}",
                          f"korrigo-backup verify --on {target.name}")  # fmt: skip


def span(seconds: int) -> str:
    """Return a time in the unit that people use: 45 min, 26 h, 12 days."""
    minutes = abs(seconds) // 60
    if minutes < 2 * 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 3 * 24 * 60 else f"{counted(minutes // (24 * 60), 'day')}"


def named(names: Sequence[str], most: int = 3) -> str:
    """Return the first names, and how many more there are."""
    return first_of(names, most)
