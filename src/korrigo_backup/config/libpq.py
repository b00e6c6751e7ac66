"""The variables of libpq (PGHOST, PGSSLMODE …): each is obeyed, has no effect by its nature, or is refused by name.

A variable that psql obeys and this program ignores may be the setting that keeps a password off the wire, or that names
another server. The variables matter if the site is reached directly; on Compose the clients run inside the container.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from korrigo_backup.core.secret import Secret
from korrigo_backup.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from korrigo_backup.config.site import DatabaseSection

PASSED = (
    "PGCHANNELBINDING", "PGGSSDELEGATION", "PGGSSENCMODE", "PGGSSLIB", "PGKRBSRVNAME",
    "PGMAXPROTOCOLVERSION", "PGMINPROTOCOLVERSION", "PGREQUIREAUTH", "PGREQUIREPEER", "PGREQUIRESSL", "PGSSLCERTMODE",
    "PGSSLCOMPRESSION", "PGSSLCRL", "PGSSLCRLDIR", "PGSSLMAXPROTOCOLVERSION", "PGSSLMINPROTOCOLVERSION",
    "PGSSLNEGOTIATION", "PGSSLSNI", "PGTARGETSESSIONATTRS", "KRB5CCNAME", "KRB5_CONFIG",
)  # fmt: skip
"""Given to psql and pg_dump as they are."""

NO_EFFECT = ("PGAPPNAME", "PGCLIENTENCODING", "PGDATESTYLE", "PGGEQO", "PGLOCALEDIR", "PGSYSCONFDIR", "PGTZ")
"""The name of a session, and how a client shows things to people; a backup fixes the settings of its sessions."""

SAME = {
    "PGHOST": ("POSTGRES_HOST", "host"),
    "PGPORT": ("POSTGRES_PORT", "port"),
    "PGUSER": ("POSTGRES_USER", "user"),
    "PGDATABASE": ("POSTGRES_DB", "name"),
}
"""Must agree with our own variable and key."""

_SERVICE = "write the service's values into POSTGRES_HOST, _PORT, _DB, _USER and [database] sslmode, and unset it"

REFUSED = {
    "PGHOSTADDR": "set POSTGRES_HOST to that address, and unset PGHOSTADDR",
    "PGLOADBALANCEHOSTS": "unset it: all sessions of a backup must be on the same server",
    "PGOAUTHDEBUG": "unset it: it would write secrets of the connection to the screen",
    "PGOPTIONS": "unset it: a backup fixes the settings of its sessions (time limits alone may stay)",
    "PGSERVICE": _SERVICE,
    "PGSERVICEFILE": _SERVICE,
    "PGSSLKEYLOGFILE": "unset it: it would write the keys of the connection into a file",
}
"""Variables with the way to do without them."""


_LIMIT = "(statement|lock|idle_in_transaction_session|idle_session|transaction)_timeout=[0-9]+(ms|s|min|h|d)?"
_LIMITS = re.compile(rf"\s*((-c\s*|--){_LIMIT}\s*)*", re.ASCII)
"""PGOPTIONS that only limits the time of the site's own sessions: a backup's sessions have limits of their own."""


def security(database: DatabaseSection, environment: Mapping[str, str]) -> dict[str, str | Secret]:
    """Return the variables of libpq by which each connection to a server is secured.

    Raises UsageError for a variable that psql would obey and that cannot be obeyed here.
    """
    for name, hint in REFUSED.items():
        if (given := environment.get(name)) and not (name == "PGOPTIONS" and _LIMITS.fullmatch(given)):
            raise UsageError(f"{name} is set, and would not be obeyed", hint=hint)
    for name, (ours, key) in SAME.items():
        used = str(getattr(database, key))
        if (given := environment.get(name)) and given != used:
            raise UsageError(
                f"{name} is {given!r}, and this site has [database] {key} {used!r}",
                hint=f"set {ours} to the right value, and unset {name}",
            )
    return {**{name: environment[name] for name in PASSED if environment.get(name)}, **own_security(database)}


def own_security(database: DatabaseSection) -> dict[str, str | Secret]:
    """Return the variables of libpq that the keys of a section set."""
    files = {
        "PGSSLROOTCERT": database.sslrootcert,
        "PGSSLCERT": database.sslcert,
        "PGSSLKEY": database.sslkey,
        "PGPASSFILE": database.passfile,
    }
    return {
        **{name: str(path) for name, path in files.items() if path},
        **({"PGSSLMODE": database.sslmode} if database.sslmode else {}),
    }


def password(database: DatabaseSection, environment: Mapping[str, str]) -> Secret | None:
    """Return the password: that of the site, else PGPASSWORD. Raises UsageError when both are set and differ."""
    own = database.password.reveal() if database.password else ""
    other = environment.get("PGPASSWORD", "")
    if own and other and own != other:
        raise UsageError(
            "PGPASSWORD and POSTGRES_PASSWORD differ",
            hint="unset PGPASSWORD, or POSTGRES_PASSWORD",
        )
    return Secret(own or other) if own or other else None
