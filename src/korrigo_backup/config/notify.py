"""The section of notifications: addresses and their events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from msgspec import Meta, field

from korrigo_backup.config.values import Reader, Section, WrongEntryError, number
from korrigo_backup.core.language import Language
from korrigo_backup.core.secret import Secret
from korrigo_backup.notify.event import DEFAULT_EVENTS, Event
from korrigo_backup.notify.wording import unknown_placeholders


def _each_word(value: object) -> object:
    """Split a value that is a single text, as in a variable, at white space."""
    return value.split() if isinstance(value, str) else value


def _templates(value: object) -> object:
    """Read templates by event."""
    for name, text in value.items() if isinstance(value, dict) else ():
        if name not in _EVENTS:
            raise WrongEntryError(name, f"is no event; these are: {', '.join(_EVENTS)}")
        if not isinstance(text, str):
            raise WrongEntryError(name, "must be text")
        if unknown := unknown_placeholders(text):
            raise WrongEntryError(name, f"has an unknown placeholder ${unknown[0]}")
    return value


_EVENTS = tuple(str(event) for event in Event)


class ChannelSection(Section, frozen=True):
    """A notification channel, with a name for messages and events of its own."""

    url: Secret
    name: str | None = None
    events: tuple[Event, ...] | None = None


class NotifySection(Section, frozen=True):
    """Addresses that are notified, and their events. An address is an Apprise URL, and a secret.

    `timeout` is for all channels of a notice together, in seconds. A wrong address is reported when it is used: a slip
    in it must not keep a backup from being made. `events` is for the channels that have no events of their own.
    `subjects` and `bodies` are templates by event. `language` is that of the messages: the task of a night has no
    locale to choose by.
    """

    readers: ClassVar[Mapping[str, Reader]] = {
        **dict.fromkeys(("urls", "events"), _each_word),
        **dict.fromkeys(("subjects", "bodies"), _templates),
        "timeout": number,
    }
    lists: ClassVar[Mapping[str, type[Section]]] = {"channels": ChannelSection}

    urls: tuple[Secret, ...] = ()
    channels: tuple[ChannelSection, ...] = ()
    events: tuple[Event, ...] = DEFAULT_EVENTS
    healthchecks_url: Secret | None = None
    timeout: Annotated[float, Meta(gt=0, le=600)] = 30
    subjects: dict[Event, str] = field(default_factory=dict)
    bodies: dict[Event, str] = field(default_factory=dict)
    language: Language = Language.ENGLISH
