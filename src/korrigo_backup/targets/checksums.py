"""The checksums of an object as S3 servers return them: of the whole, or of its parts together."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from korrigo_backup.errors import ProofFailed

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class PartChecksums:
    """The checksums of a part: SHA-256 in base64 as S3 writes it, and MD5."""

    sha256: str
    md5: bytes

    @classmethod
    def of(cls, data: bytes) -> PartChecksums:
        """Return the checksums of `data`."""
        return cls(base64.b64encode(hashlib.sha256(data).digest()).decode(), _md5(data))


@dataclass(frozen=True)
class ObjectChecksums:
    """The checksums of an object in parts, as a server may return them."""

    parts: tuple[PartChecksums, ...]
    md5: bytes | None = None
    sha256: str | None = None

    @classmethod
    def of_parts(cls, parts: list[PartChecksums]) -> ObjectChecksums:
        """Return those of an object whose parts have these; those of the whole stay unknown."""
        return cls(tuple(parts))

    @classmethod
    def of(cls, file: IO[bytes], size: int, part: int) -> ObjectChecksums:
        """Return the checksums of a file, also those of the whole."""
        parts, md5, sha256 = [], hashlib.md5(usedforsecurity=False), hashlib.sha256()
        for offset in range(0, max(size, 1), part):
            data = exactly(file, offset, min(part, size - offset))
            md5.update(data)
            sha256.update(data)
            parts.append(PartChecksums.of(data))
        return cls(tuple(parts), md5.digest(), sha256.hexdigest())

    def agree(self, answer: Mapping[str, Any]) -> bool | None:
        """Return whether the checksums in an answer are ours, None if it has none that can be compared.

        An ETag counts first: a server may return the SHA-256 that it was given and compute none.
        """
        etag, number = str(answer.get("ETag", "")).strip('"'), len(self.parts)
        joined = _md5(b"".join(one.md5 for one in self.parts)).hex()
        ours = {
            f"{joined}-{number}",
            self.parts[0].md5.hex() if number == 1 else "",
            self.md5.hex() if self.md5 else "",
        }
        encrypted = str(answer.get("ServerSideEncryption", "")).startswith("aws:")  # then the ETag is no MD5
        if etag and not encrypted and len(etag.partition("-")[0]) == len(joined):
            comparable = "-" in etag or number == 1 or self.md5 is not None
            if comparable:
                return etag in ours
        claimed = answer.get("ChecksumSHA256")
        if not claimed:
            return None
        composite = base64.b64encode(hashlib.sha256(b"".join(base64.b64decode(p.sha256) for p in self.parts)).digest())
        whole = self.parts[0].sha256 if number == 1 else self.sha256 and _base64(self.sha256)
        return claimed in {f"{composite.decode()}-{number}", composite.decode() if number > 1 else whole, whole}


def _base64(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode()


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def exactly(file: IO[bytes], offset: int, size: int) -> bytes:
    """Return `size` bytes at `offset`; threads read the same file, so its position is not used."""
    pieces = []
    while size > 0:
        piece = os.pread(file.fileno(), size, offset)
        if not piece:
            raise ProofFailed("a file became shorter while it was sent", hint="copy again")
        pieces.append(piece)
        offset, size = offset + len(piece), size - len(piece)
    return b"".join(pieces)
