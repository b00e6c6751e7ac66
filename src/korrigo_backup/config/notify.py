"""The section of notifications: addresses and their events."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from korrigo_backup.config.values import Section, no_switch
from korrigo_backup.notify.event import DEFAULT_EVENTS, Event
from korrigo_backup.notify.wording import unknown_placeholders


def _each_word(value: object) -> object:
    """Split a value that is a single text, as in a variable, at white space."""
    return tuple(value.split()) if isinstance(value, str) else value


def _template(value: str) -> str:
    if unknown := unknown_placeholders(value):
        raise ValueError(f"has an unknown placeholder ${unknown[0]}")
    return value


Events = tuple[Event, ...]
Templates = dict[Event, Annotated[str, AfterValidator(_template)]]


class ChannelSection(Section):
    """A notification channel, with a name for messages and events of its own."""

    url: SecretStr
    name: str | None = None
    events: Events | None = None


class NotifySection(Section):
    """Addresses that are notified, and their events. An address is an Apprise URL, and a secret.

    `timeout` is for all channels of a notice together, in seconds. A wrong address is reported when it is used: a slip
    in it must not keep a backup from being made. `events` is for the channels that have no events of their own.
    `subjects` and `bodies` are templates by event.
    """

    urls: Annotated[tuple[SecretStr, ...], BeforeValidator(_each_word)] = ()
    channels: tuple[ChannelSection, ...] = ()
    events: Annotated[Events, BeforeValidator(_each_word)] = DEFAULT_EVENTS
    healthchecks_url: SecretStr | None = None
    timeout: Annotated[float, BeforeValidator(no_switch), Field(gt=0, le=600)] = 30
    subjects: Templates = Field(default_factory=dict)
    bodies: Templates = Field(default_factory=dict)
