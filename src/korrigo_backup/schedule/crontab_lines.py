"""The lines of a crontab (crontab(5)): a marked block of ours among those of its owner, which stay byte by byte."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from typing import TYPE_CHECKING

from korrigo_backup.schedule.model import FULL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from korrigo_backup.schedule.model import Job, RunEnvironment

LONGEST = 998
"""Bytes of a command that Debian's cron takes (MAX_COMMAND); a longer command makes it refuse the whole crontab."""

_HOUR_FIELDS = 5
_BEGIN, _END = "# BEGIN korrigo-backup schedule for ", "# END korrigo-backup schedule for "
_ELSEWHERE = re.compile(rb"backup_db\.sh|manage\.py\s+backup\b|korrigo-backup\b.*\s(backup|nightly)\b")


def block(wanted: Iterable[Job], around: RunEnvironment) -> bytes:
    """Return the marked lines of the jobs, one each; ValueError for a line that is too long for cron.

    Standard output goes to the log, or is dropped; errors go to the log, or are mailed by cron as its owner has set it.
    """
    lines = [line for job in wanted for line in (f"# {job.id}: {job.title}", _line(job, around))]
    return _bytes("".join(f"{line}\n" for line in (_BEGIN + around.identity, *lines, _END + around.identity)))


def hours_in(found: bytes) -> dict[str, str]:
    """Return the cron expression of each job in a block."""
    lines = found.decode(errors="replace").split("\n")[1:-2]
    return {
        title.removeprefix("# ").split(":", 1)[0]: " ".join(line.split()[:_HOUR_FIELDS])
        for title, line in zip(lines[::2], lines[1::2], strict=False)
    }


def has_media(found: bytes) -> bool:
    """Return whether the daily job of a block saves the media, too."""
    lines = found.decode(errors="replace").split("\n")
    return any(title.startswith("# daily:") and FULL in line.split() for title, line in pairwise(lines))


def block_in(crontab: bytes, identity: str) -> bytes | None:
    """Return our block as it stands, None when there is none; ValueError when half of its marks are missing."""
    place = _place(crontab, identity)
    return None if place is None else crontab[place[0] : place[1]]


def with_block(crontab: bytes, identity: str, new: bytes) -> bytes:
    """Return the crontab with `new` in place of our block, or after all else."""
    place = _place(crontab, identity)
    if place is not None:
        return crontab[: place[0]] + new + crontab[place[1] :]
    return crontab + (b"\n" if crontab and not crontab.endswith(b"\n") else b"") + new


def without_block(crontab: bytes, identity: str) -> bytes:
    """Return the crontab without our block."""
    place = _place(crontab, identity)
    return crontab if place is None else crontab[: place[0]] + crontab[place[1] :]


def elsewhere(crontab: bytes, identity: str) -> list[int]:
    """Return the numbers of the lines outside our block that back this kind of site up, too: the runbook's own."""
    place = _place(crontab, identity) or (0, 0)
    found, at = [], 0
    for number, line in enumerate(crontab.splitlines(keepends=True), 1):
        inside = place[0] <= at < place[1]
        if not inside and not line.lstrip().startswith(b"#") and _ELSEWHERE.search(line):
            found.append(number)
        at += len(line)
    return found


def _place(crontab: bytes, identity: str) -> tuple[int, int] | None:
    """Return where our block begins and ends."""
    marks = [_bytes(mark + identity) for mark in (_BEGIN, _END)]
    at: list[list[int]] = [[], []]
    offset = 0
    for line in crontab.split(b"\n"):
        for which, mark in enumerate(marks):
            if line == mark:
                at[which].append(offset)
        offset += len(line) + 1
    begins, ends = at
    if not begins and not ends:
        return None
    if len(begins) != 1 or len(ends) != 1 or ends[0] < begins[0]:
        raise ValueError("the marks around the lines of korrigo-backup are not a single BEGIN and a single END")
    return begins[0], min(ends[0] + len(marks[1]) + 1, len(crontab))


def _line(job: Job, around: RunEnvironment) -> str:
    delay = around.delay(job)
    command = shlex.join(("nice", "-n", "10", *around.command, *job.arguments))
    words = (
        f"cd {shlex.quote(around.directory)}",
        *((f"sleep {delay}",) if delay else ()),
        f"PATH={shlex.quote(around.path)} {command}",
    )
    output = f">>{shlex.quote(around.log)} 2>&1" if around.log else ">/dev/null"
    text = f"{' && '.join(words)} {output}".replace("%", r"\%")  # cron turns a bare % into a new line
    if len(_bytes(text)) > LONGEST:
        raise ValueError(f"the line of the {job.id} job has more than {LONGEST} bytes, which cron does not take")
    return f"{job.hours} {text}"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
