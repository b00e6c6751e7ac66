"""The words of a notice: subject and text from templates; the defaults are the runbook's (4.9)."""

from __future__ import annotations

from string import Template
from typing import TYPE_CHECKING

from korrigo_backup.core.language import Language
from korrigo_backup.notify.event import Event
from korrigo_backup.translation.catalogue import translator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from korrigo_backup.notify.event import Notice

SUBJECTS = {
    Event.START: "▶️ $Site $Verb started",
    Event.SUCCESS: "✅ $Site $Verb OK",
    Event.WARNING: "⚠️ $Site $Verb DONE IN PART",
    Event.FAILURE: "❌ $Site $Verb FAILED",
    Event.RECOVERED: "✅ $Site $Verb OK again",
    Event.OVERDUE: "⏰ $Site $Verb OVERDUE",
}
BODIES = {
    Event.START: "$Verb started at $date\n\n$details",
    Event.SUCCESS: "$Verb successful at $date\n\n$details\n\n$journal",
    Event.WARNING: "$Verb done in part at $date\n\n$details\n\n$journal",
    Event.FAILURE: "$Verb FAILED at $date\n\n$details\n\n$journal",
    Event.RECOVERED: "$Verb successful again at $date\n\n$details\n\n$journal",
    Event.OVERDUE: "$Verb overdue at $date\n\n$details\n\n$journal",
}
PLACEHOLDERS = (
    "Site",
    "Verb",
    "date",
    "details",
    "environment",
    "event",
    "hint",
    "host",
    "journal",
    "message",
    "site",
    "state",
    "verb",
)
"""The placeholders of a template. `Site` and `Verb` begin with a capital; `details` and `journal` are blocks of lines.
"""

_TITLES = {"nightly": "Backup"}
"""Verbs with another name in subjects: the runbook's subjects name the backup, also for `nightly`."""

_TEST = "[TEST] "


def worded(
    notice: Notice,
    subjects: Mapping[Event, str] | None = None,
    bodies: Mapping[Event, str] | None = None,
    language: Language = Language.ENGLISH,
) -> tuple[str, str]:
    """Return subject and text of a notice; templates that are not given are the runbook's, in `language`.

    The subject is a single line. Blocks that are empty leave no gap.
    """
    in_language = translator(language)
    values = _values(notice, in_language)
    subject = Template((subjects or {}).get(notice.event) or in_language(SUBJECTS[notice.event])).safe_substitute(
        values
    )
    body = Template((bodies or {}).get(notice.event) or in_language(BODIES[notice.event])).safe_substitute(values)
    mark = _TEST if notice.test else ""
    return mark + " ".join(subject.split()), mark + _without_gaps(body)


def unknown_placeholders(template: str) -> list[str]:
    """Return the unknown placeholders in `template`; ValueError if it cannot be read ($ alone is $$)."""
    parsed = Template(template)
    if not parsed.is_valid():
        raise ValueError("has a $ without a name: write $$ for a dollar sign")
    return [name for name in parsed.get_identifiers() if name not in PLACEHOLDERS]


def _values(notice: Notice, in_language: Callable[[str], str]) -> dict[str, str]:
    return {
        "Site": notice.site[:1].upper() + notice.site[1:],
        "Verb": in_language(_TITLES.get(notice.verb, notice.verb.capitalize())),
        "date": f"{notice.moment:%Y-%m-%d %H:%M:%S %Z}",
        "details": _details(notice, in_language),
        "environment": notice.environment,
        "event": notice.event,
        "hint": in_language(notice.hint),
        "host": notice.host,
        "journal": "\n".join(("journal:", *notice.tail)) if notice.tail else "",
        "message": in_language(notice.message),
        "site": notice.site,
        "state": in_language(notice.state),
        "verb": notice.verb,
    }


def _details(notice: Notice, in_language: Callable[[str], str]) -> str:
    fields = {"message": notice.message, "hint": notice.hint, "state": notice.state, **notice.facts}
    where = f"site: {notice.site} ({notice.environment}) on {notice.host}"
    people = [f"contact: {line}" for line in notice.contacts]
    lines = [*(f"{name}: {value}" for name, value in fields.items() if value), where, *people]
    return "\n".join(map(in_language, lines))


def _without_gaps(text: str) -> str:
    blocks = (block.strip("\n") for block in text.split("\n\n"))
    return "\n\n".join(block for block in blocks if block)
