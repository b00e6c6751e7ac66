"""The documents of the spool: the requests that the site may make, and the answers of the host.

A request names a backup of the catalog, or the plan of a former request, and nothing else: no path, no command, no SQL.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated
from urllib.parse import quote, unquote_to_bytes

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from korrigo_backup.core.moment import require_moment
from korrigo_backup.rescue.undelete_plan import UndeletePlan  # noqa: TC001 - msgspec reads it when it decodes

LARGEST_REQUEST = 16 * 1024
"""Bytes of a request."""

LARGEST_ANSWER = 64 * 1024
"""Bytes of an answer."""

MOST_COLUMNS = 10
"""Columns that a look at rows may ask for."""

OBJECTS = 50
"""Objects of a request."""

ID = r"^[0-9a-f]{32}\Z"
_ID_LETTERS = 32
_SHOWN = 20
_NAME = 100
_WORDS = 500

Id = Annotated[str, Meta(pattern=ID)]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
BackupName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}\Z")]
ObjectName = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{3,300}\Z")]
ShortText = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,100}\Z")]
UrlPath = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._~/%-]{0,12288}\Z")]
UserName = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,150}\Z")]


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="wants"):
    """The user of the site who asks, as the site names him, and when."""

    by: UserName
    asked: datetime

    def __post_init__(self) -> None:
        """Refuse a time that cannot be compared (ValueError, to a decoder ValidationError)."""
        require_moment(self.asked)


class PlanRequest(_Request, frozen=True, kw_only=True, tag="plan"):
    """Plan the undelete of objects from a backup; with `skip`, rows in conflict are left out. Nothing is changed."""

    backup: BackupName
    objects: Annotated[tuple[ObjectName, ...], Meta(min_length=1, max_length=OBJECTS)]
    skip: bool = False


class BringBackRequest(_Request, frozen=True, kw_only=True, tag="bring_back"):
    """Carry out the plan that the answer to another request has shown, if it is still the same."""

    plan: Id
    digest: Digest


class LookRequest(_Request, frozen=True, kw_only=True, omit_defaults=True, tag="look"):
    """Show a page of a table's rows, with `words` those that have them; or the row whose `column` is `key`.

    `columns` are those that are shown of each row of a page; all of a single row are shown. `model` is the label of the
    table's model: the answer names the migrations of its app, and a Django backup of a former version names no tables.
    """

    backup: BackupName
    table: ShortText
    columns: Annotated[tuple[ShortText, ...], Meta(max_length=MOST_COLUMNS)] = ()
    page: Annotated[int, Meta(ge=1, le=10_000)] = 1
    words: Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{0,200}\Z")] = ""
    column: Annotated[str, Meta(max_length=100)] = ""
    key: Annotated[str, Meta(max_length=300)] = ""
    model: Annotated[str, Meta(max_length=200)] = ""


class FileRequest(_Request, frozen=True, kw_only=True, tag="file"):
    """Show a media file of a backup; without a `path` a page of the list of its files, with `words` in their paths.

    The path is below the media root. Its bytes are written as in a URL (`url_path`).
    """

    backup: BackupName
    path: UrlPath = ""
    page: Annotated[int, Meta(ge=1, le=10_000)] = 1
    words: Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{0,200}\Z")] = ""


Request = PlanRequest | BringBackRequest | LookRequest | FileRequest


_REQUESTS: msgspec.json.Decoder[PlanRequest | BringBackRequest | LookRequest | FileRequest] = msgspec.json.Decoder(
    Request
)


class State(StrEnum):
    """How a request stands.

    `taken`: a run works on it, or has died at it. `refused`: a rule or a check does not allow it. `failed`: the host
    could not do it, nothing was changed.
    """

    TAKEN = "taken"
    PLANNED = "planned"
    SHOWN = "shown"
    WAITING = "waiting"
    CHANGED = "changed"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


class SavedPage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Rows of a backup: the texts of their values by column, None for NULL. `cut` columns have longer values.

    `key` is that of a single row, else "". `total` counts the rows of the table, without the `withheld` rows, which
    were erased on request. `migrations` are those of the app of the table's model in the backup.
    """

    table: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    key: str = ""
    words: str = ""
    page: int = 1
    has_next: bool = False
    total: int = 0
    cut: tuple[str, ...] = ()
    withheld: int = 0
    migrations: tuple[str, ...] = ()


class ShownFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A media file of a backup: its path (`url_path`), bytes and SHA-256. Its content is a file of its own."""

    path: UrlPath
    size: int
    sha256: Digest


class HostAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The host's answer. `plan` is cut to the first rows; `digest` is that of the whole plan.

    `wants` is the tag of the request, "" for a request that is none.
    """

    id: Id
    state: State
    at: datetime
    by: str = ""
    backup: str = ""
    objects: tuple[str, ...] = ()
    message: str = ""
    hint: str = ""
    plan: UndeletePlan | None = None
    digest: str = ""
    found: SavedPage | None = None
    file: ShownFile | None = None
    wants: str = ""

    @property
    def ended_badly(self) -> bool:
        """Whether the request was refused or failed: the same may be asked again."""
        return self.state is State.REFUSED or self.state is State.FAILED

    @property
    def can_be_carried_out(self) -> bool:
        """Whether the site may ask for this plan: it has rows, and no conflict stops it."""
        shown = self.state in {State.PLANNED, State.CHANGED} and self.plan is not None
        return shown and self.plan is not None and not self.plan.refused and self.plan.count > 0


def url_path(path: str) -> str:
    """Return the bytes of a path as a URL has them: JSON holds no byte that is not UTF-8."""
    return quote(path.encode("utf-8", "surrogateescape"), safe="/")


def path_of(written: str) -> str:
    """Return the path that `url_path` has written."""
    return unquote_to_bytes(written).decode("utf-8", "surrogateescape")


class WrongRequestError(ValueError):
    """A request that is none; its text is the reason, without a word of the file."""


def decode_request(raw: bytes) -> Request:
    """Return the request; WrongRequestError for anything else, also for an unknown field."""
    if len(raw) > LARGEST_REQUEST:
        raise WrongRequestError("it is too large")
    try:
        return _REQUESTS.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise WrongRequestError("it is not one of the requests that the host knows") from None


def request_id(request: Request, once: str) -> str:
    """Return an id by the content of a request, without its time: the same request is the same file.

    `once` tells requests of the same content apart.
    """
    raw = msgspec.json.encode(replace(request, asked=datetime.fromtimestamp(0, UTC)))
    return hashlib.sha256(raw + once.encode()).hexdigest()[:_ID_LETTERS]


def decode_answer(raw: bytes) -> HostAnswer:
    """Return the answer; raises ValueError."""
    return msgspec.json.decode(raw, type=HostAnswer)


def plan_digest(plan: UndeletePlan) -> str:
    """Return the SHA-256 of the rows, files and conflicts of a plan; remarks about it do not count."""
    conflicts = sorted(plan.conflicts, key=lambda one: (one.table, one.key, one.constraint, one.message))
    counted = replace(plan, findings=(), links=(), conflicts=tuple(conflicts))
    return hashlib.sha256(msgspec.json.encode(counted)).hexdigest()


def shown_plan(plan: UndeletePlan) -> UndeletePlan:
    """Return a plan for a page: the first rows, files and conflicts, long texts cut."""
    tables = tuple(
        replace(
            one,
            rows=tuple(
                replace(row, key=tuple(key[:_NAME] for key in row.key), name=row.name and row.name[:_NAME])
                for row in one.rows[:_SHOWN]
            ),
        )
        for one in plan.tables
    )
    conflicts = sorted(plan.conflicts, key=lambda one: one.left)[:_SHOWN]
    return replace(
        plan,
        tables=tables,
        links=(),
        files=plan.files[:_SHOWN],
        conflicts=tuple(replace(one, message=one.message[:_WORDS], detail=one.detail[:_WORDS]) for one in conflicts),
        findings=plan.findings[:_SHOWN],
    )


def encode_answer(answer: HostAnswer) -> bytes:
    """Return an answer as the spool takes it; if it is too large, the names of rows and files are left out."""
    raw = msgspec.json.encode(answer)
    if len(raw) > LARGEST_ANSWER and answer.plan:
        bare = replace(answer.plan, tables=tuple(replace(one, rows=()) for one in answer.plan.tables), files=())
        raw = msgspec.json.encode(replace(answer, plan=bare))
    most = _NAME
    while len(raw) > LARGEST_ANSWER and answer.found and most > 1:
        raw = msgspec.json.encode(replace(answer, found=shortened(answer.found, most)))
        most //= 2
    return raw


def shortened(found: SavedPage, most: int) -> SavedPage:
    """Return rows whose texts have at most so many characters; `cut` names the columns that are shorter now."""
    cut = [
        name
        for place, name in enumerate(found.columns)
        if name in found.cut or any(len(row[place] or "") > most for row in found.rows)
    ]
    rows = tuple(tuple(text and text[:most] for text in row) for row in found.rows)
    return replace(found, rows=rows, cut=tuple(cut))
