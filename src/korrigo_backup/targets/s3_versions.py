"""The versions of a bucket: what lies below a delete marker, and what a put has made.

A bucket without versions, or a key that may not ask for them, has none: then an object is what a plain list shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from korrigo_backup.targets.port import ObjectLock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MADE_BY_US = "sha256"
"""The metadata that each put of this program writes."""


@dataclass(frozen=True)
class Newest:
    """The newest version of a key with content; `is_hidden` if a delete marker lies above it."""

    key: str
    size: int
    id: str
    is_hidden: bool


@dataclass(frozen=True)
class Versions:
    """The versions in a bucket, asked through a client of boto3."""

    client: Any
    bucket: str

    @cached_property
    def are_kept(self) -> bool:
        """Whether the bucket keeps versions, as far as this key may know."""
        from botocore.exceptions import ClientError  # noqa: PLC0415 - see S3Target._client
        from botocore.parsers import ResponseParserError  # noqa: PLC0415 - the same

        try:
            answer = self.client.get_bucket_versioning(Bucket=self.bucket)
        except (ClientError, ResponseParserError):
            return False
        return answer.get("Status") in {"Enabled", "Suspended"}

    def newest(self, prefix: str) -> Iterator[Newest]:
        """Yield the newest version of each key below `prefix`; a page may end among the versions of a key."""
        open_key, sizes, hidden = "", dict[str, tuple[int, str]](), set[str]()
        pages = self.client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=prefix)
        for page in pages:
            for one in page.get("Versions", ()):
                sizes.setdefault(one["Key"], (one["Size"], one["VersionId"]))
            hidden |= {one["Key"] for one in page.get("DeleteMarkers", ()) if one.get("IsLatest")}
            open_key = page.get("NextKeyMarker", "") if page.get("IsTruncated") else ""
            for key in [key for key in sizes if key != open_key]:
                size, version = sizes.pop(key)
                yield Newest(key, size, version, key in hidden)
            hidden &= {open_key}
        yield from (Newest(key, size, version, key in hidden) for key, (size, version) in sizes.items())

    def below_marker(self, key: str) -> Newest | None:
        """Return the newest version of a key that a plain request does not find, None if there is none."""
        if not self.are_kept:
            return None
        return next((one for one in self.newest(key) if one.key == key), None)

    def below_newest(self, key: str) -> list[str]:
        """Return the versions of a key below its newest one, newest first; none if this key may not ask for them."""
        if not self.are_kept:
            return []
        pages = self.client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=key)
        return [one["VersionId"] for page in pages for one in page.get("Versions", ()) if one["Key"] == key][1:]

    def made_by_us(self, key: str) -> list[str]:
        """Return the versions of a key that a put of this program has made, newest first."""
        found = []
        for page in self.client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=key):
            for one in page.get("Versions", ()):
                if one["Key"] == key:
                    head = self.client.head_object(Bucket=self.bucket, Key=key, VersionId=one["VersionId"])
                    if MADE_BY_US in head.get("Metadata", {}):
                        found.append(one["VersionId"])
        return found

    def lock_of(self, at: Mapping[str, str]) -> ObjectLock:
        """Return the protection of an object as the server gives it back; none if it does not answer that."""
        retention = self._asked(self.client.get_object_retention, at).get("Retention", {})
        hold = self._asked(self.client.get_object_legal_hold, at).get("LegalHold", {})
        return ObjectLock(retention.get("RetainUntilDate"), retention.get("Mode", ""), hold.get("Status") == "ON")

    @staticmethod
    def _asked(ask: Any, at: Mapping[str, str]) -> Mapping[str, Any]:
        from botocore.exceptions import ClientError  # noqa: PLC0415 - see S3Target._client
        from botocore.parsers import ResponseParserError  # noqa: PLC0415 - the same

        try:
            answer: Mapping[str, Any] = ask(**at)
        except (ClientError, ResponseParserError):
            return {}
        return answer
