"""A target in an S3 bucket, by boto3, which is loaded when the first request is made.

The server gets the SHA-256 of each request and of each object. After a put, the checksums of the server are compared
with ours: its ETag (MD5) where it is one, else its SHA-256; the object is read back if the answer has neither. S3 shows
an object to every reader as soon as it has answered, so the answer is the end of a put.

One file: the port's methods, the requests they make, and the errors of these requests.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from korrigo_backup.errors import KorrigoBackupError, NotFound, ProofFailed, Refused, Unreachable, UsageError
from korrigo_backup.system.files import create_private, explained, open_plain, write_all
from korrigo_backup.system.installed import install_command
from korrigo_backup.targets.checksums import ObjectChecksums, PartChecksums, exactly
from korrigo_backup.targets.pace import Pace
from korrigo_backup.targets.port import (
    ObjectLock,
    PutResult,
    StoredObject,
    other_content,
    require_named,
    require_plain,
)
from korrigo_backup.targets.s3_versions import MADE_BY_US, Versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from korrigo_backup.core.secret import Secret

_PART = 16 * 1024 * 1024
"""Bytes of a part; a smaller object is put whole."""

_MOST_PARTS = 9_000
"""S3 takes 10,000 parts."""

_IN_MEMORY = 96 * 1024 * 1024
"""Bytes of all parts that are held at once."""

_THREADS = 4
_CHUNK = 1024 * 1024
_NO_OBJECT = {"404", "NoSuchKey", "NotFound"}
_THERE_ALREADY = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_DENIED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403", "401", "ExpiredToken", "InvalidToken"}
_WITHOUT_WORDS = {"400", "401", "403"}
"""Codes of an answer to HEAD, whose cause is not in it."""

_BAD_CONTENT = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
_NO_LOCKS = {"InvalidRequest", "InvalidArgument", "ObjectLockConfigurationNotFoundError"}
"""Codes for a retention in a bucket without Object Lock."""

_FULL = {"507", "QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "EntityTooLarge"}
_SITUATIONS: tuple[tuple[set[str], type[KorrigoBackupError], str], ...] = (
    ({"NoSuchBucket"}, Refused, "make the bucket, or correct the url of the target"),
    (_NO_OBJECT, NotFound, "see what is there: korrigo-backup list --on TARGET"),
    (_DENIED, Refused, "check the access key, its secret and the rights of the key"),
    (
        {"RequestTimeTooSkewed", "RequestExpired"},
        KorrigoBackupError,
        "set the clock of this machine (timedatectl), then copy again",
    ),
    (_BAD_CONTENT, ProofFailed, "copy again; if it happens twice, the network damages data"),
    (_FULL, KorrigoBackupError, "make room there, then copy again"),
)
"""Codes of S3 errors, the situation, and the next step."""

_SERVER_ERROR = 500
_COMPLIANCE = "COMPLIANCE"


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A bucket and the way to it. `access_key` and `secret_key` are None where boto3 finds credentials by itself."""

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    ca_file: Path | None = None
    access_key: str | None = None
    secret_key: Secret | None = None
    session_token: Secret | None = None
    profile: str | None = None


@dataclass(frozen=True)
class S3Target:
    """Objects in a bucket. `lock_days` is the retention of Object Lock in days (0: none), in the mode `lock_mode`.

    `timeout` is for an answer of the server, in seconds.
    """

    name: str
    bucket: Bucket
    storage_class: str | None = None
    lock_days: int = 0
    lock_mode: str = "GOVERNANCE"
    timeout: float = 60
    pace: Pace = field(default_factory=Pace)

    @property
    def place(self) -> str:
        """The bucket and prefix as an URL."""
        return "/".join(filter(None, (f"s3://{self.bucket.bucket}", self.bucket.prefix)))

    def put(self, name: str, source: Path, sha256: str) -> PutResult:
        """Store a file; see the port."""
        require_named(name, source)
        key = self._key(name)
        with explained(f"read {source}"), open_plain(source) as file:
            size = os.fstat(file.fileno()).st_size
            part = max(_PART, -(-size // _MOST_PARTS))
            with self._errors(f"store {name}"):
                head = self._head(key)
                if head is None:
                    try:
                        return self._put_new(key, file, size, part, self._extra(sha256))
                    except self._client.exceptions.ClientError as problem:
                        if problem.response.get("Error", {}).get("Code") not in _THERE_ALREADY:
                            raise
                    head = self._head(key)  # another host has put it, or an answer of the server was lost
                if head is None:
                    raise other_content(self, name)
                return self._compared(name, head, ObjectChecksums.of(file, size, part), size, sha256)

    def list(self, below: str = "") -> Iterator[StoredObject]:
        """Yield objects; see the port."""
        prefix = self._key(below) if below else f"{self.bucket.prefix}/" if self.bucket.prefix else ""
        cut = len(self.bucket.prefix) + 1 if self.bucket.prefix else 0
        with self._errors("list objects"):
            if self._versions.are_kept:
                for one in self._versions.newest(prefix):
                    yield StoredObject(one.key[cut:], one.size, one.is_hidden)
                return
            for page in self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket.bucket, Prefix=prefix
            ):
                for found in page.get("Contents", ()):
                    yield StoredObject(found["Key"][cut:], found["Size"])

    def stat(self, name: str) -> StoredObject | None:
        """Return an object; see the port."""
        with self._errors(f"look at {name}"):
            key = self._key(name)
            head = self._head(key)
            if head is not None:
                return StoredObject(name, head["ContentLength"])
            below = self._versions.below_marker(key)
        return None if below is None else StoredObject(name, below.size, is_hidden=True)

    def fetch(self, name: str, to: Path) -> str:
        """Write an object to a file; see the port."""
        with self._errors(f"fetch {name}"):
            return self._write(self._content(self._key(name)), to)

    def earlier(self, name: str, to: Path) -> Iterator[str]:
        """Write the versions below the newest one to a file; see the port."""
        key = self._key(name)
        with self._errors(f"fetch earlier versions of {name}"):
            for version in self._versions.below_newest(key):
                to.unlink(missing_ok=True)
                yield self._write(self._client.get_object(Bucket=self.bucket.bucket, Key=key, VersionId=version), to)

    def lock_of(self, name: str) -> ObjectLock:
        """Return the protection of an object; see the port."""
        with self._errors(f"look at the lock of {name}"):
            return self._strong(self._versions.lock_of(self._at(name)))

    def retain(self, name: str) -> ObjectLock:
        """Lengthen the retention of an object; see the port."""
        with self._errors(f"lock {name}"):
            at = self._at(name)
            self._client.put_object_retention(
                **at, Retention={"Mode": self.lock_mode, "RetainUntilDate": self._lock_end()}
            )
            return self._strong(self._versions.lock_of(at))

    def hold(self, name: str, *, on: bool) -> ObjectLock:
        """Switch the legal hold of an object; see the port."""
        with self._errors(f"switch the legal hold of {name}"):
            at = self._at(name)
            self._client.put_object_legal_hold(**at, LegalHold={"Status": "ON" if on else "OFF"})
            return self._versions.lock_of(at)

    # Requests

    @cached_property
    def _versions(self) -> Versions:
        return Versions(self._client, self.bucket.bucket)

    def _at(self, name: str) -> dict[str, str]:
        """Return the words of a request for the newest version of an object, also one below a delete marker."""
        key = self._key(name)
        at = {"Bucket": self.bucket.bucket, "Key": key}
        below = self._versions.below_marker(key)
        return {**at, "VersionId": below.id} if below else at

    def _content(self, key: str) -> Mapping[str, Any]:
        """Return the answer with the content of an object, of the version below a delete marker if there is one."""
        from botocore.exceptions import ClientError  # noqa: PLC0415 - see _client

        client, at = self._client, {"Bucket": self.bucket.bucket, "Key": key}
        try:
            found: Mapping[str, Any] = client.get_object(**at)
        except ClientError as problem:
            code = problem.response.get("Error", {}).get("Code")
            below = self._versions.below_marker(key) if code in _NO_OBJECT else None
            if below is None:
                raise
            found = client.get_object(**at, VersionId=below.id)
        return found

    def _write(self, answer: Mapping[str, Any], to: Path) -> str:
        """Write the content of an answer to the new file `to` and return its SHA-256."""
        digest = hashlib.sha256()
        with explained(f"write {to}"), create_private(to) as file:
            for chunk in answer["Body"].iter_chunks(_CHUNK):
                self.pace.take(len(chunk))
                digest.update(chunk)
                write_all(file, chunk)
            os.fsync(file.fileno())
        return digest.hexdigest()

    @cached_property
    def _client(self) -> Any:
        try:
            import boto3  # noqa: PLC0415 - it takes a third of a second, and only a copy needs it
            from botocore.config import Config  # noqa: PLC0415
        except ImportError:
            raise UsageError(
                "the library boto3, which speaks S3, is not installed", hint=install_command("boto3")
            ) from None
        at = self.bucket
        session = boto3.session.Session(
            aws_access_key_id=at.access_key,
            aws_secret_access_key=at.secret_key.reveal() if at.secret_key else None,
            aws_session_token=at.session_token.reveal() if at.session_token else None,
            region_name=at.region or ("us-east-1" if at.endpoint else None),
            profile_name=at.profile,
        )
        return session.client(
            "s3",
            endpoint_url=at.endpoint,
            verify=str(at.ca_file) if at.ca_file else None,
            config=Config(
                connect_timeout=min(10, self.timeout),
                read_timeout=self.timeout,
                retries={"max_attempts": 3, "mode": "standard"},
                max_pool_connections=_THREADS + 2,
                s3={"addressing_style": "path" if at.endpoint else "auto"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def _key(self, name: str) -> str:
        plain = require_plain(name.rstrip("/")) + ("/" if name.endswith("/") else "")
        return f"{self.bucket.prefix}/{plain}" if self.bucket.prefix else plain

    def _head(self, key: str) -> Mapping[str, Any] | None:
        from botocore.exceptions import ClientError  # noqa: PLC0415 - see _client

        client = self._client
        try:
            found: Mapping[str, Any] = client.head_object(Bucket=self.bucket.bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as problem:
            code = problem.response.get("Error", {}).get("Code")
            if code in _NO_OBJECT:
                return None
            if code in _WITHOUT_WORDS:  # the answer to HEAD has no body: ask in a way whose answer has one
                client.get_object(Bucket=self.bucket.bucket, Key=key, Range="bytes=0-0")
            raise
        return found

    def _extra(self, sha256: str) -> dict[str, Any]:
        extra: dict[str, Any] = {"Metadata": {MADE_BY_US: sha256}}
        if self.storage_class:
            extra["StorageClass"] = self.storage_class
        if self.lock_days:
            extra["ObjectLockMode"] = self.lock_mode
            extra["ObjectLockRetainUntilDate"] = self._lock_end()
        return extra

    def _lock_end(self) -> datetime:
        return datetime.now(UTC) + timedelta(days=self.lock_days)

    def _put_new(self, key: str, file: Any, size: int, part: int, extra: dict[str, Any]) -> PutResult:
        version = self._put_whole(key, file, extra) if size <= part else self._put_parts(key, file, size, part, extra)
        return PutResult(is_new=True, locked_until=self._locked_until(key, version))

    def _put_whole(self, key: str, file: Any, extra: dict[str, Any]) -> str | None:
        data = exactly(file, 0, os.fstat(file.fileno()).st_size)
        self.pace.take(len(data))
        sums = ObjectChecksums.of_parts([PartChecksums.of(data)])
        answer = self._client.put_object(
            Bucket=self.bucket.bucket, Key=key, Body=data, ChecksumSHA256=sums.parts[0].sha256, IfNoneMatch="*", **extra
        )
        return self._checked(key, answer, sums)

    def _put_parts(self, key: str, file: Any, size: int, part: int, extra: dict[str, Any]) -> str | None:
        at = {"Bucket": self.bucket.bucket, "Key": key}
        self._abort_left(key)
        upload = self._client.create_multipart_upload(**at, ChecksumAlgorithm="SHA256", **extra)["UploadId"]
        try:
            offsets = range(0, size, part)

            def send(number: int) -> tuple[PartChecksums, str]:
                offset = offsets[number - 1]
                data = exactly(file, offset, min(part, size - offset))
                self.pace.take(len(data))
                sums = PartChecksums.of(data)
                answer = self._client.upload_part(
                    **at, UploadId=upload, PartNumber=number, Body=data, ChecksumSHA256=sums.sha256
                )
                return sums, answer["ETag"]

            with ThreadPoolExecutor(max(1, min(_THREADS, _IN_MEMORY // part))) as pool:
                sent = list(pool.map(send, range(1, len(offsets) + 1)))
            answer = self._client.complete_multipart_upload(
                **at,
                UploadId=upload,
                MultipartUpload={
                    "Parts": [
                        {"PartNumber": number, "ETag": etag, "ChecksumSHA256": sums.sha256}
                        for number, (sums, etag) in enumerate(sent, 1)
                    ]
                },
            )
        except BaseException:
            with suppress(Exception):  # the failure itself is being reported
                self._client.abort_multipart_upload(**at, UploadId=upload)
            raise
        return self._checked(key, answer, ObjectChecksums.of_parts([sums for sums, _ in sent]))

    def _abort_left(self, key: str) -> None:
        """Abort uploads of this object that a killed run has left: their parts cost room and are seen by nobody."""
        from botocore.exceptions import ClientError  # noqa: PLC0415 - see _client

        with suppress(ClientError):  # a key for writing alone may not list them
            found = self._client.list_multipart_uploads(Bucket=self.bucket.bucket, Prefix=key)
            for left in found.get("Uploads", ()):
                if left["Key"] == key:
                    self._client.abort_multipart_upload(Bucket=self.bucket.bucket, Key=key, UploadId=left["UploadId"])

    # Checksums

    def _checked(self, key: str, answer: Mapping[str, Any], sums: ObjectChecksums) -> str | None:
        """Return the version that was stored; ProofFailed if the server's checksums differ, read back without any."""
        version: str | None = answer.get("VersionId")
        same = sums.agree(answer)
        if same is None:
            same = self._sha256_there(key, version) == sums.sha256
        if not same:
            self._remove_bad(key, version)
            raise ProofFailed(
                f"{self.name}: the server has stored other bytes than were sent: {key}",
                hint="copy again; if it happens twice, the network or the server damages data",
            )
        return version

    def _sha256_there(self, key: str, version: str | None) -> str:
        digest = hashlib.sha256()
        at = {"VersionId": version} if version else {}
        for chunk in self._client.get_object(Bucket=self.bucket.bucket, Key=key, **at)["Body"].iter_chunks(_CHUNK):
            digest.update(chunk)
        return digest.hexdigest()

    def _remove_bad(self, key: str, version: str | None) -> None:
        with suppress(Exception):  # a key without the right to delete: the next copy names the object
            at = {"VersionId": version} if version else {}
            self._client.delete_object(Bucket=self.bucket.bucket, Key=key, **at)

    def _compared(self, name: str, head: Mapping[str, Any], sums: ObjectChecksums, size: int, sha256: str) -> PutResult:
        same = head["ContentLength"] == size
        if same:
            found = sums.agree(head)
            same = self._sha256_there(self._key(name), None) == sha256 if found is None else found
        if not same:
            raise other_content(self, name)
        return PutResult(is_new=False, locked_until=self._locked_until(self._key(name), head.get("VersionId")))

    def _locked_until(self, key: str, version: str | None) -> datetime | None:
        """Return the retention as the server gives it back: some servers take the header and protect nothing."""
        if not self.lock_days:
            return None
        at = {"Bucket": self.bucket.bucket, "Key": key}
        return self._strong(self._versions.lock_of({**at, "VersionId": version} if version else at)).until

    def _strong(self, lock: ObjectLock) -> ObjectLock:
        """Return a lock without its retention if that is of a weaker mode than the configuration demands."""
        weak = self.lock_mode == _COMPLIANCE != lock.mode
        return replace(lock, until=None) if weak else lock

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        """Turn an error of boto3 into a situation of ours."""
        self._client  # noqa: B018 - a missing boto3 is reported by itself
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError  # noqa: PLC0415 - see _client
        from botocore.exceptions import ConnectionError as NoConnection  # noqa: PLC0415 - the same

        try:
            yield
        except ClientError as problem:
            raise self._explained(problem.response, doing) from None
        except (NoConnection, HTTPClientError) as problem:
            raise Unreachable(
                f"{self.name}: {self.place} does not answer: {_first_line(problem)}",
                hint="see whether the server runs, and check the endpoint, ca_file and the network",
            ) from None
        except BotoCoreError as problem:
            raise UsageError(
                f"{self.name}: cannot {doing}: {_first_line(problem)}",
                hint="put the credentials into korrigo-backup.env, see docs/how-to/second-place.md",
            ) from None

    def _explained(self, response: Mapping[str, Any], doing: str) -> KorrigoBackupError:
        error = response.get("Error", {})
        code, words = str(error.get("Code", "")), str(error.get("Message", "")).strip()
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        message = f"{self.name}: cannot {doing} on {self.place}: {code} {words}".rstrip()
        for codes, kind, hint in _SITUATIONS:
            if code in codes:
                return kind(message, hint=hint)
        if code in _NO_LOCKS and self.lock_days:
            return KorrigoBackupError(message, hint="make the bucket with Object Lock, or set lock_days = 0")
        if status >= _SERVER_ERROR:
            return Unreachable(message, hint="the server has a fault or no room: see its log, then copy again")
        return KorrigoBackupError(message, hint="the server's own words name the cause")


@dataclass(frozen=True)
class DeletingS3Target(S3Target):
    """The same with the right to delete."""

    def delete(self, name: str) -> None:
        """Delete an object; see the port."""
        key = self._key(name)
        at = {"Bucket": self.bucket.bucket, "Key": key}
        with self._errors(f"delete {name}"):
            if not self._versions.are_kept:
                self._client.delete_object(**at)
                return
            for version in self._versions.made_by_us(key):
                lock = self._versions.lock_of({**at, "VersionId": version})
                if lock.is_held or (lock.until and lock.until > datetime.now(UTC)):
                    end = "by a legal hold" if lock.is_held else f"until {lock.until:%Y-%m-%d %H:%M} UTC"
                    raise Refused(f"{self.name}: {name} is locked {end}", hint="it can be removed after that")
                self._client.delete_object(**at, VersionId=version)


def _first_line(problem: Exception) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0]
