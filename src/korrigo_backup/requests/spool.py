"""The spool: a directory with `requests`, which the site writes, and `answers`, which the host writes.

The host trusts no byte of `requests`: links, pipes, files with a second name and large files are refused, names are
those of ids. It decides on nothing that stands in `answers`.
"""

from __future__ import annotations

import os
import re
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - msgspec reads it when it decodes
from itertools import islice
from secrets import token_hex
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.errors import Refused
from korrigo_backup.requests.model import (
    LARGEST_ANSWER,
    LARGEST_REQUEST,
    HostAnswer,
    WrongRequestError,
    decode_answer,
    decode_request,
    encode_answer,
)
from korrigo_backup.system.files import explained
from korrigo_backup.system.spool import NEW, NoPlainFileError, opened_directory, read_untrusted, write_for_others

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from korrigo_backup.requests.model import Request

REQUESTS, ANSWERS = "requests", "answers"
_FILE = re.compile(r"([0-9a-f]{32})\.json")
_HALF = re.compile(rf"\..*{re.escape(NEW)}")
_CONTENT = re.compile(r"[0-9a-f]{32}\.file")
_LOOKED = "looked.json"
"""When the host has last looked, a file of `answers`."""

_LOOKED_AT = 1000
"""Entries of `requests` that a run looks at."""

_WAITING = 100
"""Requests that a page reads."""


class _Look(msgspec.Struct, frozen=True):
    at: datetime


@dataclass(frozen=True)
class Spool:
    """A spool; both sides use the same directory."""

    directory: Path

    def require(self) -> None:
        """Raise Refused unless both directories are there."""
        for name in (REQUESTS, ANSWERS):
            with self._inside(name):
                pass

    def pending(self) -> tuple[list[str], int]:
        """Return the ids of the requests, oldest first, and the number of other entries without the hidden."""
        found, strange = list[tuple[float, str]](), 0
        with self._inside(REQUESTS) as inside, os.scandir(inside) as entries:
            for entry in islice(entries, _LOOKED_AT):
                if entry.name.startswith("."):
                    continue
                match = _FILE.fullmatch(entry.name)
                if match is None or entry.is_dir(follow_symlinks=False):
                    strange += 1
                    continue
                with suppress(FileNotFoundError):
                    found.append((entry.stat(follow_symlinks=False).st_mtime, match[1]))
        return [id_ for _, id_ in sorted(found)], strange

    def read(self, id_: str) -> Request:
        """Return a request; WrongRequestError for a file that is none."""
        with self._inside(REQUESTS) as inside:
            return decode_request(_content(inside, f"{id_}.json", LARGEST_REQUEST))

    def remove(self, id_: str) -> None:
        """Remove a request."""
        doing = f"remove a request in {self.directory}"
        with self._inside(REQUESTS) as inside, explained(doing), suppress(FileNotFoundError):
            os.unlink(f"{id_}.json", dir_fd=inside)

    def ask(self, request: Request, id_: str = "") -> str:
        """Write a request, and return its id: the given one, else a new one."""
        id_ = id_ or token_hex(16)
        self._write(REQUESTS, f"{id_}.json", msgspec.json.encode(request))
        return id_

    def waiting(self) -> dict[str, Request]:
        """Return the requests that the host has not ended, oldest first, without those that are none."""
        found: dict[str, Request] = {}
        for id_ in self.pending()[0][:_WAITING]:
            with suppress(FileNotFoundError, ValueError):
                found[id_] = self.read(id_)
        return found

    def answer(self, answer: HostAnswer) -> None:
        """Write an answer in the place of a former answer; its group is that of the directory."""
        self._write(ANSWERS, f"{answer.id}.json", encode_answer(answer))

    def answer_file(self, id_: str, content: bytes) -> None:
        """Write the content of a file that a request asks for; its group is that of the directory, as of an answer."""
        self._write(ANSWERS, f"{id_}.file", content)

    def file_for(self, id_: str, size: int) -> bytes | None:
        """Return the content of a file that was asked for, None if it is gone; `size` is that of the answer."""
        with self._inside(ANSWERS) as inside:
            try:
                content = _content(inside, f"{id_}.file", size)
            except (FileNotFoundError, WrongRequestError):
                return None
        return content if len(content) == size else None

    def forget_files(self, before: float) -> None:
        """Remove the contents of files that were written before a time, in seconds since 1970."""
        for forgotten in (_CONTENT, _HALF):
            self._forget(ANSWERS, forgotten, before)

    def forget_answer(self, id_: str) -> None:
        """Remove an answer, if there is one."""
        with self._inside(ANSWERS) as inside, suppress(FileNotFoundError):
            os.unlink(f"{id_}.json", dir_fd=inside)

    def note_look(self, now: datetime) -> None:
        """Write when the host has looked for requests."""
        self._write(ANSWERS, _LOOKED, msgspec.json.encode({"at": now}))

    def last_look(self) -> datetime | None:
        """Return when the host has last looked for requests, None if it never has."""
        with self._inside(ANSWERS) as inside:
            try:
                return msgspec.json.decode(_content(inside, _LOOKED, LARGEST_REQUEST), type=_Look).at
            except (FileNotFoundError, ValueError):
                return None

    def answer_to(self, id_: str) -> HostAnswer | None:
        """Return the host's answer to a request, None as long as there is none; ValueError for a damaged answer."""
        with self._inside(ANSWERS) as inside:
            try:
                return decode_answer(_content(inside, f"{id_}.json", LARGEST_ANSWER))
            except FileNotFoundError:
                return None

    def newest_answers(self, count: int) -> list[HostAnswer]:
        """Return the newest answers, at most so many; damaged answers are left out."""
        found, answers = list[tuple[float, str]](), list[HostAnswer]()
        with self._inside(ANSWERS) as inside:
            with os.scandir(inside) as entries:
                for entry in entries:
                    if match := _FILE.fullmatch(entry.name):
                        found.append((entry.stat(follow_symlinks=False).st_mtime, match[1]))
            for _, id_ in sorted(found, reverse=True)[:count]:
                with suppress(FileNotFoundError, ValueError):
                    answers.append(decode_answer(_content(inside, f"{id_}.json", LARGEST_ANSWER)))
        return answers

    def is_pending(self, id_: str) -> bool:
        """Return whether the host has not taken a request yet."""
        with self._inside(REQUESTS) as inside:
            try:
                os.stat(f"{id_}.json", dir_fd=inside, follow_symlinks=False)
            except FileNotFoundError:
                return False
            return True

    def forget_answers(self, before: float) -> None:
        """Remove answers written before a time, in seconds since 1970, and files that a kill has left half written."""
        for name, forgotten in ((ANSWERS, _FILE), (REQUESTS, _HALF)):
            self._forget(name, forgotten, before)

    def _forget(self, name: str, forgotten: re.Pattern[str], before: float) -> None:
        with self._inside(name) as inside, os.scandir(inside) as entries:
            for entry in list(entries):
                with suppress(OSError):
                    if forgotten.fullmatch(entry.name) and entry.stat(follow_symlinks=False).st_mtime < before:
                        os.unlink(entry.name, dir_fd=inside)

    @contextmanager
    def _inside(self, name: str) -> Iterator[int]:
        """Yield the descriptor of one of the two directories, which is no link."""
        with ExitStack() as stack:
            try:
                inside = stack.enter_context(opened_directory(self.directory / name))
            except OSError as problem:
                raise Refused(
                    f"the spool of requests has no directory {self.directory / name}: {problem.strerror}",
                    hint="make both directories as docs/how-to/bring-back-from-the-admin.md shows",
                    id_="requests.spool",
                ) from None
            yield inside

    def _write(self, name: str, path: str, raw: bytes) -> None:
        with self._inside(name) as inside, explained(f"write {self.directory / name / path}"):
            write_for_others(inside, path, raw)


def _content(inside: int, name: str, largest: int) -> bytes:
    """Return the content of a plain file with a single name; WrongRequestError for any other."""
    try:
        return read_untrusted(inside, name, largest)
    except NoPlainFileError as problem:
        raise WrongRequestError(str(problem)) from None
