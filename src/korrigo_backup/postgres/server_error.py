"""Errors of the server as psql prints them with VERBOSITY=verbose: code, message, detail, hint and context apart.

This is the only module that reads the words of psql and pg_dump. A server's error has an SQLSTATE, which decides its
class. pg_dump prints no code, and psql none for a failed connection or a line that it cannot parse: there the words
decide. Clients on this machine print English (LC_ALL in system/run.py), a refused connection is in the server's own
language. Other modules decide on the classes below.

One file: the words and codes of PostgreSQL, and the cause, hint and explanation of each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from korrigo_backup.errors import KorrigoBackupError, Refused

_FIRST = re.compile(r"(?:psql:.*?: )?(?:\w[\w ]*):  ([0-9A-Z]{5}): (.*)")
_LABEL = re.compile(r"(DETAIL|HINT|QUERY|CONTEXT|LOCATION|LINE \d+|[A-Z]+(?: [A-Z]+)? NAME):  ?(.*)")
_WARNINGS = frozenset({"00", "01", "02"})
"""SQLSTATE classes of notices and warnings, which end no statement."""


@dataclass(frozen=True)
class ServerError:
    """An error of a PostgreSQL server. `sqlstate` has five characters; the other texts may be empty.

    `detail` may name keys and values of rows: it is shown to the operator and goes into no notification.
    """

    sqlstate: str
    message: str
    detail: str = ""
    hint: str = ""
    context: str = ""
    query: str = ""
    """The statement, where the server points into it."""

    @property
    def sqlclass(self) -> str:
        """Return the class of the code, its first two characters."""
        return self.sqlstate[:2]


EXPLAINED = {
    "23503": "rows.foreign_key",
    "23505": "rows.duplicate",
    "3D000": "database.missing",
    "42501": "role.rights",
    "42704": "roles.missing",
    "53100": "server.full",
    "53200": "server.memory",
    "53300": "server.crowded",
    "55006": "database.in_use",
    "55P03": "table.locked",
}
"""The explanation of an error by its SQLSTATE."""


class StatementFailed(KorrigoBackupError):
    """The server refused a statement; `server` is its own account. Decisions are taken on `server.sqlstate`."""

    def __init__(self, message: str, *, hint: str, server: ServerError) -> None:
        detail = " ".join(filter(None, (server.detail, server.hint)))
        super().__init__(message, hint=hint, detail=detail, id_=EXPLAINED.get(server.sqlstate, "server.statement"))
        self.server = server


class ClientFailed(KorrigoBackupError):
    """A client (psql, pg_dump) ended without an SQLSTATE, for no cause that has a class of its own."""


class TableLocked(KorrigoBackupError):
    """Another session holds a lock on a table for longer than we wait."""

    id = "table.locked"


class NotPermitted(Refused):
    """The server does not let our role do it; `server` is its own account, None where a client has read it."""

    id = "role.rights"

    def __init__(self, message: str, *, hint: str, server: ServerError | None = None) -> None:
        super().__init__(message, hint=hint)
        self.server = server


def statement_error(program: str, words: str, server: ServerError) -> KorrigoBackupError:
    """Return the error for a statement that the server refused: its class by the SQLSTATE, its hint by the words."""
    message = f"{program}: {words}"
    match server.sqlstate:
        case "42501":
            return NotPermitted(message, hint=_hint(_RIGHTS, words, _GIVE_RIGHTS), server=server)
        case "53100":
            return Refused(message, hint=_MAKE_ROOM, id_=EXPLAINED[server.sqlstate])
        case "55P03":
            return TableLocked(message, hint=_LOCKED)
        case "55006":
            return StatementFailed(message, hint=_IN_USE, server=server)
        case "3D000" | "42P04":
            return StatementFailed(message, hint=_MEANWHILE, server=server)
    return StatementFailed(message, hint=_hint(_FAILED, words, _LOG), server=server)


def client_error(program: str, words: str, stderr: str) -> KorrigoBackupError:
    """Return the error for a client that ended without an SQLSTATE: its class and its hint by the client's words."""
    message = f"{program}: {words}"
    if re.search(r"aborting because of server version mismatch", stderr):
        return Refused(message, hint=_CLIENTS, id_="database.clients")
    if re.search(r"permission denied|must be owner|affected by row-level security policy", stderr):
        return NotPermitted(message, hint=_hint(_RIGHTS, stderr, _GIVE_RIGHTS))
    if re.search(r"No space left on device|could not extend file", stderr):
        return Refused(message, hint=_MAKE_ROOM, id_="server.full")
    if "lock timeout" in words:
        return TableLocked(message, hint=_LOCKED)
    return ClientFailed(message, hint=_hint(_FAILED, words, _LOG))


@dataclass(frozen=True)
class ConnectionCause:
    """The cause for which a client was not connected, or lost its connection.

    `of_the_database` is False where another database of the server would not be reached either. `not_admitted`: the
    server's pg_hba.conf does not let us in. `id` names its explanation.
    """

    id: str
    hint: str
    of_the_database: bool = True
    not_admitted: bool = False


def connection_cause(stderr: str) -> ConnectionCause | None:
    """Return the known cause of a failed connection; None for another failure. psql prints no SQLSTATE for these."""
    return next((cause for pattern, cause in _CONNECTION if re.search(pattern, stderr)), None)


def is_pooler(stderr: str) -> bool:
    """Return whether a connection pooler wrote a client's error: pgbouncer, Odyssey, pgcat."""
    return bool(re.search(_POOLER, stderr))


def left_out_subscriptions(stderr: str) -> bool:
    """Return whether pg_dump, which then ends with status 0, left the subscriptions out."""
    return "subscriptions not dumped" in stderr


def first_error(stderr: str) -> str:
    """Return the first line that a client called an error, else its first line."""
    for line in stderr.splitlines():
        if match := re.search(r".*(?:error|ERROR|FATALE?|PANIC):\s+(.*)", line):
            return " ".join(match[1].split())  # French has two spaces before a name
    return stderr.splitlines()[0] if stderr else ""


def parse(stderr: str) -> ServerError | None:
    """Return the first error in psql's output; None if it has no code (the connection failed, for example)."""
    lines = iter(stderr.splitlines())
    for line in lines:
        found = _FIRST.match(line)
        if found and found[1][:2] not in _WARNINGS:
            return _parsed(found[1], found[2], list(lines))
    return None


def _parsed(sqlstate: str, message: str, lines: list[str]) -> ServerError:
    """Collect the labelled lines after the first; a line without a label continues the line before."""
    texts, label = {"MESSAGE": message}, "MESSAGE"
    for line in lines:
        if _FIRST.match(line):
            break
        if found := _LABEL.match(line):
            label = found[1]
            texts[label] = found[2]
        else:
            texts[label] += f" {line.strip()}"
    others = (texts.get(name, "") for name in ("DETAIL", "HINT", "CONTEXT", "QUERY"))
    return ServerError(sqlstate, texts["MESSAGE"], *others)


def _hint(hints: tuple[tuple[str, str], ...], words: str, otherwise: str) -> str:
    return next((hint for pattern, hint in hints if re.search(pattern, words)), otherwise)


_LOG = "the server's log has the details"
_LOCKED = "another session holds a lock on a table (a migration?): see pg_locks, then run the command again"
_IN_USE = "end its sessions (select pid, usename, application_name from pg_stat_activity), then run the command again"
_MEANWHILE = "a database was made or dropped by another program: look at them (psql -l), then run the command again"
_GIVE_RIGHTS = "run as the role that owns the database, or give it the right"
_MAKE_ROOM = "make room on the database server's disk"
_CLIENTS = (
    "install PostgreSQL clients of the server's version or newer, and name their directory in [database] client_dir"
)

_RIGHTS = (
    (r"permission denied to (create|rename) database", "give the role CREATEDB: ALTER ROLE … CREATEDB"),
    (
        r"row-level security policy",
        "this role may not see every row: run as a superuser, or give it BYPASSRLS (ALTER ROLE … BYPASSRLS)",
    ),
)

_FAILED = (
    (r'role ".*" does not exist', "make that role first (CREATE ROLE …; roles are not part of a database's backup)"),
    (r'collation ".*" for encoding|could not create locale', "install that locale on the database server"),
    (r"tablespace .* does not exist", "make that tablespace on the server first (CREATE TABLESPACE …)"),
    (
        r"extension \".*\" is not available|could not open extension control file",
        "install that extension's package on the database server",
    ),
    (
        r"max_locks_per_transaction|out of shared memory",
        "raise max_locks_per_transaction on the server: a single transaction locks every object",
    ),
    (r"unrecognized configuration parameter|syntax error", "the dump may be of a newer PostgreSQL than this server"),
    (
        r"invalid command \\(un)?restrict",
        "update the PostgreSQL clients: psql 13.22, 14.19, 15.14, 16.10, 17.6 or newer",
    ),
)

_POOLER = (
    r"unsupported startup parameter|FATAL:\s+no such database: |FATAL:\s+(?:pgbouncer|odyssey:|pgcat)"
    r"|query_wait_timeout|bouncer config error"
)
"""Words of connection poolers that no server writes."""

# No SQLSTATE comes with these, and the server speaks the language of its own lc_messages: English, French, German,
# Spanish and Italian are here. The name of the file is the same in every language.
_CONNECTION = (
    (
        (
            r"password authentication failed|no password supplied|fe_sendauth"
            r"|authentification par mot de passe échouée|Passwort-Authentifizierung .* fehlgeschlagen"
            r"|autentificación password falló|autenticazione con password fallita"
        ),
        ConnectionCause("server.password", "check POSTGRES_USER and POSTGRES_PASSWORD (in .env or the environment)"),
    ),
    (
        (
            r'FATAL:  database ".*" does not exist|FATAL:  la base de données « .* » n.existe pas'
            r"|FATAL:  Datenbank ».*« existiert nicht|FATAL:  no existe la base de datos «.*»"
            r'|FATALE:  il database ".*" non esiste'
        ),
        ConnectionCause(
            "database.missing",
            "check POSTGRES_DB; if it was dropped, restore makes it again: korrigo-backup restore latest",
        ),
    ),
    (
        (
            r'FATAL:  role ".*" does not exist|FATAL:  le rôle « .* » n.existe pas|FATAL:  Rolle ».*« existiert nicht'
            r"|FATAL:  no existe el rol «.*»|FATALE:  il ruolo \".*\" non esiste"
        ),
        ConnectionCause("server.role", "check POSTGRES_USER"),
    ),
    (
        (
            r"pg_hba\.conf(?s:.*)(?:no encryption|SSL off|aucun chiffrement|keine Verschlüsselung|sin cifrado"
            r"|nessuna crittografia)"
        ),
        ConnectionCause(
            "server.tls",
            "the server may demand TLS: set [database] sslmode (PGSSLMODE) to verify-full or require;"
            " or see its pg_hba.conf",
            not_admitted=True,
        ),
    ),
    (
        r"server does not support SSL",
        ConnectionCause(
            "server.tls",
            "turn TLS on in the server (ssl = on), or change [database] sslmode (PGSSLMODE)",
            of_the_database=False,
        ),
    ),
    (
        r"certificate verify failed|root certificate file|server certificate for",
        ConnectionCause(
            "server.tls",
            "[database] sslrootcert must name the authority of the server's certificate, POSTGRES_HOST the host in it",
            of_the_database=False,
        ),
    ),
    (
        r"certificate file|private key file|could not load client certificate",
        ConnectionCause(
            "server.tls",
            "check [database] sslcert and sslkey; the key is for its owner alone (chmod 600)",
            of_the_database=False,
        ),
    ),
    (
        r"pg_hba\.conf",
        ConnectionCause("server.hba", "allow this host and user in the server's pg_hba.conf", not_admitted=True),
    ),
    (
        (
            r"not currently accepting connections|n'accepte plus les connexions"
            r"|akzeptiert gegenwärtig keine Verbindungen|base de datos «.*» no acepta conexiones"
            r"|attualmente non accetta connessioni"
        ),
        ConnectionCause("server.closed", "a restore was interrupted: korrigo-backup rollback finishes it"),
    ),
    (
        (
            r"connect(?:ion)? to server.*(?:Connection refused|No such file|timeout expired|timed out)"
            r"|could not translate host name"
        ),
        ConnectionCause(
            "server.silent",
            "see whether the server runs and listens there: check POSTGRES_HOST and POSTGRES_PORT, run pg_isready",
        ),
    ),
    (
        (
            r"too many clients|remaining connection slots|trop de clients sont|emplacements de connexions restants"
            r"|schon zu viele Verbindungen|verbleibenden Verbindungen sind|ya tenemos demasiados clientes"
            r"|conexiones restantes están|troppi client già connessi|rimanenti slot di connessione"
        ),
        ConnectionCause("server.crowded", "close connections or raise max_connections, then run it again"),
    ),
    (
        (
            r"server closed the connection|terminating connection|connection to server was lost"
            r"|arrêt des connexions suite|Verbindung wird abgebrochen|terminando la conexión"
            r"|interruzione della connessione"
        ),
        ConnectionCause(
            "server.ended", "the server stopped or was restarted in the middle: see its log, then run the command again"
        ),
    ),
)
