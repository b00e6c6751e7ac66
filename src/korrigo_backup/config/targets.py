"""The section of a target: another place for artifacts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from korrigo_backup.config.unattended import RuleSection
from korrigo_backup.config.values import Count, Reader, Section, Words, number, switch

_URL = re.compile(
    r"s3://[A-Za-z0-9][A-Za-z0-9.-]*(/[A-Za-z0-9._-]+)*/?"
    r"|ssh://([A-Za-z0-9._-]+@)?(\[[0-9a-fA-F:]+\]|[A-Za-z0-9][A-Za-z0-9._-]*)(:[0-9]+)?(/~?[A-Za-z0-9._-]*)*"
    r"|rclone:[A-Za-z0-9_][A-Za-z0-9_ .-]*:[A-Za-z0-9._/-]*"
    r"|(?!s3:|ssh:)[a-z][a-z0-9+]*://([A-Za-z0-9._-]+@)?[A-Za-z0-9.\[\]:-]*(/[A-Za-z0-9._~-]*)*",
    re.ASCII,
)


def _url(value: object) -> object:
    if isinstance(value, str) and value and (not _URL.fullmatch(value) or ".." in value):
        raise ValueError(
            "must be s3://BUCKET/PREFIX, ssh://USER@HOST:PORT/DIRECTORY, file:///DIRECTORY, rclone:REMOTE:PATH,"
            " or an URL of duplicity, without spaces, a password or .."
        )
    return value


def _command_line(value: object) -> object:
    """Split a value that is a single text into words as a shell does; no shell ever sees it."""
    return shlex.split(value) if isinstance(value, str) else value


class TargetRetentionSection(Section, frozen=True):
    """How long copies stay on a target, by sort, as `[retention]` has it for the backups here."""

    readers: ClassVar[Mapping[str, Reader]] = {"max_age": number}
    parts: ClassVar[Mapping[str, type[Section]]] = dict.fromkeys(
        ("database", "media", "complete", "safety"), RuleSection
    )

    database: RuleSection | None = None
    media: RuleSection | None = None
    complete: RuleSection | None = None
    safety: RuleSection | None = None
    max_age: Count = 0


class TargetSection(Section, frozen=True):
    """Another place for backups: `[targets.NAME]`.

    Copies are sealed to `recipients` (those of `[kit]` if there are none here) unless `seal` is false. `may_delete`
    gives the right to delete: copies that `retention` removes, and a damaged copy, to send it again. With `legal_hold`
    a backup on hold gets a legal hold there. `limit` is in KiB a second (0: none), `timeout` in
    seconds. `off_site` is false for a place that the same fire would reach, as a directory is unless it says otherwise.
    duplicity encrypts to the GPG key `encrypt_key`, and begins a new chain of volumes every `full_days` days.
    """

    readers: ClassVar[Mapping[str, Reader]] = {
        "url": _url,
        **dict.fromkeys(("seal", "may_delete", "off_site", "legal_hold"), switch),
        **dict.fromkeys(("limit", "timeout", "lock_days", "full_days"), number),
        **dict.fromkeys(("ssh", "rclone", "duplicity"), _command_line),
    }

    parts: ClassVar[Mapping[str, type[Section]]] = {"retention": TargetRetentionSection}

    kind: Literal["duplicity"] | None = None
    url: str = ""
    seal: bool = True
    recipients: tuple[str, ...] = ()
    may_delete: bool = False
    off_site: bool | None = None
    limit: Annotated[int, Meta(ge=0, le=100_000_000)] = 0
    timeout: Annotated[float, Meta(gt=0, le=86400)] = 60
    storage_class: str | None = None
    endpoint: str | None = None
    region: str | None = None
    ca_file: Path | None = None
    profile: str | None = None
    lock_days: Count = 0
    lock_mode: Literal["governance", "compliance"] = "governance"
    legal_hold: bool = False
    retention: TargetRetentionSection = TargetRetentionSection()
    ssh: Words = ("ssh",)
    rclone: Words = ("rclone",)
    encrypt_key: str | None = None
    full_days: Annotated[int, Meta(ge=1, le=3650)] = 30
    duplicity: Words = ("duplicity",)

    @property
    def is_off_site(self) -> bool:
        """Whether a fire here would not reach it."""
        return not self.url.startswith("file:") if self.off_site is None else self.off_site
