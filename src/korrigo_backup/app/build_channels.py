"""Build the channels of notifications from the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.config.notify import ChannelSection

if TYPE_CHECKING:
    from korrigo_backup.config.notify import NotifySection
    from korrigo_backup.core.secret import Secret
    from korrigo_backup.notify.notifier import Notifier


def notification_channels(notify: NotifySection) -> tuple[Notifier, ...]:
    """Return every notification channel. A channel without a name is numbered, since its address is a secret."""
    given = [ChannelSection(url=url) for url in notify.urls] + list(notify.channels)
    if not given and not notify.healthchecks_url:
        return ()
    from korrigo_backup.notify.apprise_ import AppriseChannel  # noqa: PLC0415 - no site without channels needs them
    from korrigo_backup.notify.healthchecks import Healthchecks  # noqa: PLC0415

    channels: list[Notifier] = [
        AppriseChannel(
            name=channel.name or f"channel {number}{_scheme(channel.url)}",
            events=frozenset(notify.events if channel.events is None else channel.events),
            url=channel.url,
            subjects=notify.subjects,
            bodies=notify.bodies,
            language=notify.language,
        )
        for number, channel in enumerate(given, 1)
    ]
    if notify.healthchecks_url:
        channels.append(Healthchecks(notify.healthchecks_url))
    return tuple(channels)


def _scheme(url: Secret) -> str:
    """Return the scheme of the address in brackets, for its channel's name; the host may already be a token."""
    scheme, found, _ = url.reveal().partition("://")
    return f" ({scheme})" if found and scheme.isalnum() else ""
