"""The health of a site: its state before its services are stopped, and the criteria for a restore afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.core.finding import Finding, warning

if TYPE_CHECKING:
    from collections.abc import Iterator


DEFAULT_SECONDS = 60.0
"""How long a service without a health check of its own, or an address, may take to be there."""

DEFAULT_PATH = "/api/health/"
"""The health endpoint of the runbook."""

_HTTP_OK = 200
_PROBE_SECONDS = 5.0


@dataclass(frozen=True)
class Health:
    """The state of the services: those that run and are `unwell`, and the address that answers.

    `silent` gives the reason why the configured address does not answer, "" if it does or none is configured.
    """

    unwell: frozenset[str] = frozenset()
    url: str | None = None
    silent: str = ""


def health_findings(health: Health, *, known: bool) -> Iterator[Finding]:
    """Yield the parts that a restore cannot be validated by, because they are not healthy now.

    `known`: health is known.

    An address is named only if it answered just now.
    """
    judged = "a restore is not judged by"
    if health.unwell:
        names = ", ".join(sorted(health.unwell))
        yield warning("services.unwell", f"not healthy now: {names}; {judged} them", "see their logs")
    if health.silent:
        other = f"set [services] health_url to {health.url}, which answers"
        hint = other if health.url else "start the site, or correct [services] health_url"
        yield warning("services.silent", f"the health address {health.silent}; {judged} it", hint)
    elif known and not health.url:
        words = "no published address answers the health path: only the containers' own checks show the site's health"
        yield warning("services.silent", words, "set [services] health_url to an address that answers 200")


def probe(url: str, seconds: float = _PROBE_SECONDS) -> str | None:
    """Return why an address does not answer 200 within `seconds`, None when it does."""
    import urllib.error  # noqa: PLC0415 - 20 ms that no backup needs
    import urllib.request  # noqa: PLC0415

    try:
        with urllib.request.urlopen(url, timeout=seconds) as answer:  # noqa: S310 - the operator's own address
            return None if answer.status == _HTTP_OK else f"status {answer.status}"
    except urllib.error.HTTPError as problem:
        return f"status {problem.code}"
    except (OSError, ValueError) as problem:
        return str(getattr(problem, "reason", problem))
