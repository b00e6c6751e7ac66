"""The section that says who is told of what."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from korrigo_backup.config.values import Section, no_switch
from korrigo_backup.domain.notice import DEFAULT_EVENTS, Event
from korrigo_backup.domain.wording import unknown_placeholders


def _each_word(value: object) -> object:
    """Split a value that is one text, as it is in a variable, at white space."""
    return tuple(value.split()) if isinstance(value, str) else value


def _address(value: SecretStr) -> SecretStr:
    """Require something like an address; what is wrong with it is not shown, since it is a secret."""
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://\S+$", value.get_secret_value()):
        raise ValueError("must be an address like mailtos://… or slack://…")
    return value


def _http_address(value: SecretStr | None) -> SecretStr | None:
    if value and not re.match(r"https?://[^/\s]+/\S+$", value.get_secret_value()):
        raise ValueError("must be the http:// or https:// address of a check")
    return value or None


def _template(value: str) -> str:
    if unknown := unknown_placeholders(value):
        raise ValueError(f"has an unknown placeholder ${unknown[0]}")
    return value


Address = Annotated[SecretStr, AfterValidator(_address)]
Events = tuple[Event, ...]
Templates = dict[Event, Annotated[str, AfterValidator(_template)]]


class ChannelSection(Section):
    """One way to tell somebody, with a name for messages and events of its own."""

    url: Address
    name: str | None = None
    events: Events | None = None


class NotifySection(Section):
    """Who is told of what. An address is one of Apprise, and a secret; `timeout` is for one notice in all, in seconds.

    `events` is for the channels that have none of their own. `subjects` and `bodies` are templates by event.
    """

    urls: Annotated[tuple[Address, ...], BeforeValidator(_each_word)] = ()
    channels: tuple[ChannelSection, ...] = ()
    events: Annotated[Events, BeforeValidator(_each_word)] = DEFAULT_EVENTS
    healthchecks_url: Annotated[SecretStr | None, AfterValidator(_http_address)] = None
    timeout: Annotated[float, BeforeValidator(no_switch), Field(gt=0, le=600)] = 30
    subjects: Templates = Field(default_factory=dict)
    bodies: Templates = Field(default_factory=dict)
