"""The status as one line of a monitoring plug-in: Nagios, Icinga, Naemon, Checkmk and others read it.

Exit codes and performance data follow the Monitoring Plugins' development guidelines; the codes are the convention's
(0 to 3), not those of this command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.core.finding import first_error, headline
from korrigo_backup.status.attention import span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.status.model import Status

OK, WARNING, CRITICAL, UNKNOWN = range(4)
_WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


def plugin_line(status: Status) -> tuple[str, int]:
    """Return the line and its exit code: UNKNOWN when the directory cannot be read, else by the worst finding."""
    code = _code(status)
    words = headline(status.attention) if status.attention else _calm(status)
    text = words.replace("|", "/").replace("\n", " ")
    return f"BACKUP {_WORDS[code]} - {text} | {' '.join(_performance(status))}", code


def _code(status: Status) -> int:
    if any(finding.id == "status.unreadable" for finding in status.attention):
        return UNKNOWN
    if first_error(status.attention):
        return CRITICAL
    return WARNING if status.attention else OK


def _calm(status: Status) -> str:
    return "all is well" if status.age is None else f"the newest database backup is {span(status.age)} old"


def _performance(status: Status) -> Iterator[str]:
    """Yield `label=value[unit];warn;crit;min;max`; unknown values are left out."""
    limit = f"{status.goals.rpo_hours * 3600:.0f}" if status.goals.rpo_hours else ""
    if status.age is not None:
        yield f"age={status.age}s;;{limit};0"
    for good in status.good:
        yield f"{good.kind}_size={good.size}B;;;0"
        if good.rows is not None:
            yield f"{good.kind}_rows={good.rows};;;0"
        if good.seconds is not None:
            yield f"{good.kind}_duration={good.seconds}s;;;0"
    if status.space:
        yield f"free={status.space.free}B;;;0;{status.space.total}"
    yield f"failures={sum(one.times for one in status.failing)};;;0"
