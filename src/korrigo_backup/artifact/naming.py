"""Names on disk: the names of artifacts, and their meaning.

The names are the runbook's (sections 4.2, 4.3, 4.5 and 5.3.2); people have them in crontabs. A stamp is the
local time of the site, `YYYYMMDD_HHMMSS`; a second artifact of the same second gets `_2`, a third `_3`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING

from korrigo_backup.artifact.kinds import KINDS, LISTING_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable
    from datetime import datetime

    from korrigo_backup.artifact.kinds import Kind, Origin

STAMP_FORMAT = "%Y%m%d_%H%M%S"
MANIFEST_SUFFIX = ".manifest.json"
"""Added to the name of a single-file artifact: `db_backup_….sql.gz.manifest.json`."""

MEMBERS_SUFFIX = ".sha256"
"""Added to the name of a media archive: its members in the format of `sha256sum`."""

MEDIA_STORE = "media-store"
"""The directory of stored media files, next to the artifacts."""

DIRECTORY_MANIFEST = "manifest.json"
LATEST_SQL = "db_backup_latest.sql.gz"
DRILL_SERVER = ".drill-server"
"""Where in the backup directory a drill on this machine has the data of its throw-away server."""
DRILL_FILES = ".drill-files"
"""Where in the backup directory a drill has files: media that it loads, a copy that it fetched or damaged."""

PARTIAL_PREFIX = ".partial-"
SITE_PREFIX, SITE_SUFFIX = ".site-", ".json"
"""Around the UUID of a site in the name of its record."""


@dataclass(frozen=True)
class Name:
    """A parsed artifact name."""

    kind: Kind
    origin: Origin
    stamp: str
    counter: int


KIT_PREFIX, KIT_SUFFIX = "recovery_kit_", ".tar.age"

STAMP = r"(?P<stamp>[0-9]{8}_[0-9]{6})(?:_(?P<counter>[1-9][0-9]{0,3}))?"
"""A stamp and its counter in a pattern."""

KIT = re.compile(re.escape(KIT_PREFIX) + STAMP + re.escape(KIT_SUFFIX), re.ASCII)
"""A recovery kit: it lies among the backups, and is none."""

_PATTERNS = tuple(
    (kind, origin, re.compile(re.escape(prefix) + STAMP + re.escape(suffix), re.ASCII))
    for kind, spec in KINDS.items()
    for origin, prefix in spec.prefixes.items()
    for suffix in spec.suffixes
)


def parse(name: str) -> Name | None:
    """Return the parts of `name`, None if it is not the name of an artifact."""
    for kind, origin, pattern in _PATTERNS:
        if match := pattern.fullmatch(name):
            return Name(kind, origin, match["stamp"], int(match["counter"] or 1))
    return None


def strange(name: str, names: Container[str]) -> str | None:
    """Return why `name`, which is no artifact's, belongs to no artifact among `names`; None if it does.

    Hidden names are those of drafts, the journal and the lock, or are ignored.
    """
    if name.startswith(".") or name in {LATEST_SQL, MEDIA_STORE} or KIT.fullmatch(name):
        return None
    for suffix in (MANIFEST_SUFFIX, MEMBERS_SUFFIX):
        owner = name.removesuffix(suffix)
        if owner != name and parse(owner):
            return None if owner in names else "its backup is not here"
    return "not a backup's name"


def stamp(moment: datetime) -> str:
    """Return the stamp of a local time; its zone is the caller's decision."""
    return moment.strftime(STAMP_FORMAT)


def is_stamp(text: str) -> bool:
    """Return whether a text has the form of a stamp."""
    return re.fullmatch(r"[0-9]{8}_[0-9]{6}", text, re.ASCII) is not None


def compose(kind: Kind, origin: Origin, stamped: str, counter: int = 1, *, stored: bool = False) -> str:
    """Return the artifact name of a stamp; `counter` 1 is not written. `stored`: media files are in the store."""
    spec = KINDS[kind]
    suffix = LISTING_SUFFIX if stored else spec.suffixes[0]
    return f"{spec.prefixes[origin]}{stamped}{f'_{counter}' if counter > 1 else ''}{suffix}"


def free_second(now: datetime, names: Collection[str]) -> datetime:
    """Return the first second from `now` on whose stamp is in none of the names of previous copies.

    Two operations with the same stamp would share their copies, and an undo would undo both.
    """
    while any(stamp(now) in name for name in names):
        now += timedelta(seconds=1)
    return now


def free_name(kind: Kind, origin: Origin, stamped: str, taken: Container[str], *, stored: bool = False) -> str:
    """Return the first name of this stamp that is not `taken` (two runs in one second, contract T14)."""
    return _first_free((compose(kind, origin, stamped, counter, stored=stored) for counter in count(1)), taken)


def stage_database(live: str, stamped: str) -> str:
    """Return the name of the database that a restore loads into, next to the live database."""
    return _beside(live, "stage", stamped)


def back_database(live: str, stamped: str) -> str:
    """Return the name of the database for a safety backup, which becomes the database as before a restore."""
    return _beside(live, "back", stamped)


def before_database(live: str, stamped: str) -> str:
    """Return the name under which the database that a restore replaced is kept."""
    return _beside(live, "before", stamped)


def after_database(live: str, stamped: str) -> str:
    """Return the name under which the restored data are kept after their rollback."""
    return _beside(live, "after", stamped)


def anonymised_database(staged: str) -> str:
    """Return the name under which the anonymised copy in a staged database is kept."""
    head, stamped = staged[:-_STAMP_LENGTH], staged[-_STAMP_LENGTH:]
    return f"{_cut(head.removesuffix('_stage_'), _room('anonymised'))}_anonymised_{stamped}"


def loader_role(live: str, stamped: str) -> str:
    """Return the name of the role without rights that loads data that are not authentic.

    It exists only during the load. Roles belong to the whole server: the name contains the site, so that no other site
    takes the role for its own.
    """
    return _beside(live, "load", stamped)


def beside(names: Collection[str], live: str, role: str) -> dict[str, str]:
    """Return the databases of `live` in a role (`stage`, `back`, `before`, `after`) by their stamps.

    `names` are all databases of the server. Earlier versions cut a long name without a hash (`_former`): such a copy
    counts only when no other database has a name that is cut alike, because it may be that neighbour's copy.
    """
    former = former_beside(names, live, role)
    found = {} if former and namesake(names, live) else former
    return found | {name[-_STAMP_LENGTH:]: name for name in names if is_beside(name, live, role)}


def former_beside(names: Iterable[str], live: str, role: str) -> dict[str, str]:
    """Return the databases that an earlier version made for `live`, or for a database whose name is cut alike."""
    if not _is_cut(live, role):
        return {}
    head = _former(live, role, "")
    return {name[-_STAMP_LENGTH:]: name for name in names if _is_stamped(name, head)}


def is_beside(name: str, live: str, role: str) -> bool:
    """Return whether `name` is a `stage`, `back`, `before` or `after` database of `live`, or its `load` role."""
    return _is_stamped(name, _beside(live, role, ""))


_STAMP_LENGTH = len("20260204_030000")

POSTGRES_NAME_BYTES = 63
"""NAMEDATALEN - 1: PostgreSQL silently cuts a longer name, so two of our names could become equal."""

_HASH_DIGITS = 10
"""Hexadecimal digits of the SHA-256 of a full name: they distinguish names that are equal where they are cut."""


_ROLES = ("stage", "back", "before", "after")


def namesake(names: Collection[str], live: str) -> str | None:
    """Return another database whose copies were called as those of `live` by an earlier version: both are cut alike."""
    head = _former(live, "before", "")
    ours = {live} | {name for role in _ROLES for name in former_beside(names, live, role).values()}
    return next((name for name in sorted(names) if name not in ours and _former(name, "before", "") == head), None)


def _is_stamped(name: str, head: str) -> bool:
    return name.startswith(head) and is_stamp(name[len(head) :])


def _is_cut(live: str, role: str) -> bool:
    return len(live.encode()) > _room(role)


def _room(role: str) -> int:
    return POSTGRES_NAME_BYTES - len(f"_{role}_") - _STAMP_LENGTH


def _beside(live: str, role: str, stamped: str) -> str:
    """Return the name of a database next to `live`. A name that must be cut carries a hash of the full name."""
    if not _is_cut(live, role):
        return f"{live}_{role}_{stamped}"
    digits = hashlib.sha256(live.encode()).hexdigest()[:_HASH_DIGITS]
    return f"{_cut(live, _room(role) - _HASH_DIGITS - 1)}_{digits}_{role}_{stamped}"


def _former(live: str, role: str, stamped: str) -> str:
    """Return the name that versions before 2026-11 gave: cut without a hash."""
    return f"{_cut(live, _room(role))}_{role}_{stamped}"


def _cut(live: str, room: int) -> str:
    return live.encode()[:room].decode(errors="ignore")


def is_kit(name: str) -> bool:
    """Return whether `name` is that of a recovery kit; the record beside it adds `.manifest.json`."""
    return KIT.fullmatch(name) is not None


def free_kit_name(stamped: str, taken: Container[str]) -> str:
    """Return the first name of this stamp that is not `taken`."""
    stamps = (stamped if counter == 1 else f"{stamped}_{counter}" for counter in count(1))
    return _first_free((f"{KIT_PREFIX}{one}{KIT_SUFFIX}" for one in stamps), taken)


def _first_free(names: Iterable[str], taken: Container[str]) -> str:
    return next(name for name in names if name not in taken)
