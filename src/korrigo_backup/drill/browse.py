"""Look at a backup: it is restored in a private project, and the application serves it read-only to a browser here."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.compose.private_document import inner_ports
from korrigo_backup.compose.private_project import private_project
from korrigo_backup.compose.private_site import (
    begin_site,
    live_project,
    private_roles,
    start_application,
    start_entrance,
)
from korrigo_backup.drill.forward import Upstream, forwarded
from korrigo_backup.drill.private import require_database, restore_in
from korrigo_backup.errors import KorrigoBackupError, NotFound, Refused
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.postgres.sql import identifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.compose.private_project import PrivateProject
    from korrigo_backup.compose.project import Project
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.drill.private import PrivateDrill
    from korrigo_backup.site.site import Site

_HTTPS = 443
_HTTP = 8000


@dataclass(frozen=True)
class BrowseOptions:
    """Port 0 stands for a free port. The browser is logged in as the user `visitor`, "" for nobody."""

    port: int = 0
    visitor: str = ""


@dataclass(frozen=True)
class Browsed:
    """A backup that is served: the address with its key, and findings about its restore."""

    address: str
    findings: tuple[Finding, ...]


@contextmanager
def browsed(drill: PrivateDrill, options: BrowseOptions) -> Iterator[Browsed]:
    """Restore the artifact in a private project and serve it read-only on the loopback; it is removed afterwards.

    Raises as `drill_privately`; NotFound if the backup has no such user.
    """
    require_database(drill)
    found: list[Finding] = []
    with ExitStack() as stack:
        drill.begin("make")
        roles = private_roles(drill.live)
        project = live_project(drill.live)
        place = stack.enter_context(private_project(project, roles, drill.directory, drill.stamp, visited=True))
        private = begin_site(drill.live, place)
        restore_in(drill, private, found.append)
        drill.begin("start")
        reading = stack.enter_context(place.without_media_writes())
        start_application(private, place, reading)
        cookies = _session(private, options.visitor) if options.visitor else {}
        _forbid_changes(private)
        host, port = _entrance(place, reading)
        address = stack.enter_context(forwarded(Upstream(host, port, cookies), options.port))
        yield Browsed(address, tuple(found))
        drill.begin("remove")


def _entrance(place: PrivateProject, project: Project) -> tuple[str, int]:
    """Start the proxy of the site, which serves its files, too; without one that runs here, use the backend itself."""
    for service in place.options.others:
        with suppress(KorrigoBackupError):
            return start_entrance(place, project, service, _port(place, service))
    backend = place.options.backend
    return start_entrance(place, project, backend, _port(place, backend))


def _port(place: PrivateProject, service: str) -> int:
    ports = inner_ports(place.document, service)
    return next((port for port in ports if port != _HTTPS), ports[0] if ports else _HTTP)


def _forbid_changes(private: Site) -> None:
    """Make each transaction of the application read-only, and end its sessions, which began before that."""
    databases, name = Databases(private.postgres), private.postgres.database
    private.postgres.change(f"ALTER DATABASE {identifier(name)} SET default_transaction_read_only = on")
    databases.disconnect(name)
    databases.admit(name)


class _Session(msgspec.Struct, frozen=True):
    cookie: str = ""
    key: str = ""


def _session(private: Site, visitor: str) -> dict[str, str]:
    """Return the cookie of a new session of a user, made by the site's own Django in the private database."""
    if private.django is None:
        raise Refused("nobody can be logged in: how manage.py is run is not configured", hint=_MANAGE)
    made = private.django.ask("shell", _Session, "-c", _LOG_IN.format(name=visitor))
    if not made.key:
        raise NotFound(f"the backup has no user {visitor!r}", hint="leave out --as, or name a user of that time")
    return {made.cookie: made.key}


_MANAGE = 'set [django] manage = ["python", "manage.py"]'

_LOG_IN = """
import json
from importlib import import_module
from django.conf import settings
from django.contrib import auth
model = auth.get_user_model()
user = model._default_manager.filter(**{{model.USERNAME_FIELD: {name!r}}}).first()
store = import_module(settings.SESSION_ENGINE).SessionStore()
if user:
    own = "django.contrib.auth.backends."
    backends = settings.AUTHENTICATION_BACKENDS
    store[auth.SESSION_KEY] = user._meta.pk.value_to_string(user)
    store[auth.BACKEND_SESSION_KEY] = next((one for one in backends if one.startswith(own)), backends[0])
    store[auth.HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.save()
print(json.dumps({{"cookie": settings.SESSION_COOKIE_NAME, "key": store.session_key or ""}}))
"""
