"""The text of systemd units (systemd.service(5), systemd.timer(5)), made of values alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from korrigo_backup.schedule.model import MARK, Job, RunEnvironment, on_calendar

if TYPE_CHECKING:
    from collections.abc import Iterable

_HOURS = "# hours of the "
"""Begins the line of a timer that keeps the job and the cron expression it was made from."""

_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - the directories that PrivateTmp= hides
_STOP_LIMIT = "10min"
"""How long a run that is asked to end may take for its undo; then systemd kills it."""

_QUIET = ("UMask=0077", "Nice=10", "IOSchedulingClass=idle")
_CONFINED = (
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "RestrictNamespaces=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallErrorNumber=EPERM",
)
"""Rights that a program of this sort never needs: it starts clients and writes files.

Units of a user can drop them, too.
"""
_OF_ROOT = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_KILL CAP_SETGID CAP_SETUID CAP_SYS_NICE"
"""The rights that root keeps: read and restore uploads of any owner, and drop its own privileges."""
_SYSTEM_ONLY = ("ProtectSystem=strict", "ProtectHome=read-only", "ProtectControlGroups=yes")
"""Settings that need mounts: for units of the system. A user's manager may not be allowed to mount."""
_SYSTEM_CONFINED = (
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "PrivateDevices=yes",
)
"""The same, and with User= each of them implies NoNewPrivileges= (systemd.exec(5))."""


def unit_name(site: str, job: str) -> str:
    """Return the name of a job's units without its ending: `korrigo-backup`, the runbook's, for the daily job."""
    plain = re.sub(r"[^A-Za-z0-9_.]+", "-", site).strip("-.") or "site"
    return f"{plain}-backup" if job == "daily" else f"{plain}-backup-{job}"


def units(wanted: Iterable[Job], around: RunEnvironment, *, system: bool) -> dict[str, str]:
    """Return the files by name: a service and a timer for each job.

    ValueError for hours that no single timer can express.
    """
    made = {}
    for job in wanted:
        name = unit_name(around.site, job.id)
        made[f"{name}.service"] = _service(job, around, system=system)
        made[f"{name}.timer"] = _timer(job, around)
    return made


def is_ours(text: str, identity: str) -> bool:
    """Return whether a unit was made by us for this site."""
    return text.split("\n", 1)[0] == f"# {MARK} {identity}"


def hours_in(timer: str) -> dict[str, str]:
    """Return the job of a timer of ours and the cron expression that it was made from."""
    hours = [line.removeprefix(_HOURS).split(" job: ", 1) for line in timer.split("\n") if line.startswith(_HOURS)]
    return {words[0]: words[1] for words in hours if len(words) > 1}


def _timer(job: Job, around: RunEnvironment) -> str:
    """Return a timer with a single OnCalendar; it starts the service of its name without Requires= (contract T11)."""
    return _text(
        f"# {MARK} {around.identity}",
        f"{_HOURS}{job.id} job: {job.hours}",
        "[Unit]",
        f"Description={_plain(around.site)} backup, {job.id}: {job.title}",
        "",
        "[Timer]",
        f"OnCalendar={on_calendar(job.hours)}",
        "# a run that was missed while the machine was off is made up for",
        "Persistent=true",
        *(
            [f"RandomizedDelaySec={around.jitter}", "FixedRandomDelay=true"]
            if around.jitter and not job.is_prompt
            else []
        ),
        "",
        "[Install]",
        "WantedBy=timers.target",
    )


def _service(job: Job, around: RunEnvironment, *, system: bool) -> str:
    words = " ".join(_word(word, dollar=True) for word in (*around.command, *job.arguments))
    return _text(
        f"# {MARK} {around.identity}",
        "[Unit]",
        f"Description={_plain(around.site)} backup, {job.id}: {job.title}",
        *(_after(around) if system else []),
        "",
        "[Service]",
        "Type=oneshot",
        *([f"User={around.user}"] if system and around.user else []),
        "# .env in it is read by the command: no secret stands here",
        f"WorkingDirectory={_plain(around.directory)}",
        f"Environment={_word(f'PATH={around.path}')}",
        f"ExecStart={words}",
        f"TimeoutStartSec={around.limit}",
        f"TimeoutStopSec={_STOP_LIMIT}",
        *_QUIET,
        *([] if around.gains_rights else ["NoNewPrivileges=yes", *_CONFINED]),
        *(_mounts(around) if system else []),
        *(_rights(around) if system and not around.gains_rights else []),
    )


def _after(around: RunEnvironment) -> list[str]:
    return ["Wants=network-online.target", f"After=network-online.target {_server(around)}.service"]


def _server(around: RunEnvironment) -> str:
    return "docker" if around.compose else "postgresql"


def _mounts(around: RunEnvironment) -> list[str]:
    """Return the read-only and writable paths; a site in a temporary directory must not get a private /tmp."""
    seen = (*around.command[:1], around.directory, *around.writable, *around.needed)
    shared = any(path == place or path.startswith(f"{place}/") for path in seen for place in _TEMPORARY)
    # with a hyphen, a missing path does not keep the command from reporting it
    writable = [f"-{path}" for path in (*around.writable, *(_TEMPORARY if shared else ()))]
    return [
        *_SYSTEM_ONLY,
        "PrivateTmp=no" if shared else "PrivateTmp=yes",
        f"ReadWritePaths={' '.join(map(_word, writable))}",
    ]


def _rights(around: RunEnvironment) -> list[str]:
    return [*_SYSTEM_CONFINED, f"CapabilityBoundingSet={'' if around.user else _OF_ROOT}"]


def _text(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Return the value of a setting that is a single text: only specifiers mean something in it."""
    return text.replace("%", "%%")


def _word(text: str, *, dollar: bool = False) -> str:
    """Return a word of a list, quoted where it must be; a `$` means something in command lines only."""
    text = text.replace("%", "%%")
    if dollar:
        text = text.replace("$", "$$")
    if text and not re.search(r"[^\w@%+=:,./$-]", text, re.ASCII):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
