"""Access to a database in a container: its own psql and pg_dump, streamed through `docker exec`."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from korrigo_backup.compose.project import engine_cause
from korrigo_backup.postgres.access import APPLICATION, STOPPED, state_of
from korrigo_backup.system.run import run

if TYPE_CHECKING:
    from korrigo_backup.compose.project import Project
    from korrigo_backup.core.secret import Secret
    from korrigo_backup.errors import Cause
    from korrigo_backup.system.run import Command

_SECONDS = 60.0

# The container has its password already, in the way of the official image; so none travels, not even to the engine.
_AS_THE_CONTAINER = """
if [ -z "$PGPASSWORD" ]; then PGPASSWORD=$POSTGRES_PASSWORD; fi
if [ -z "$PGPASSWORD" ] && [ -n "$POSTGRES_PASSWORD_FILE" ]; then PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE"); fi
export PGPASSWORD
"""
_AS_GIVEN = "IFS= read -r PGPASSWORD; export PGPASSWORD\n"

# `docker exec` enters the official image as root. The data directory's owner is the server's user, with any name; the
# image brings a program that becomes this user. If the container's user is not root, the command runs as it is.
AS_THE_SERVER = """
if [ "$(id -u)" = 0 ]; then
  owner=$(stat -c %u:%g "${PGDATA:-/var/lib/postgresql/data}" 2>/dev/null)
  case $owner in ""|0:*) owner=$(id -u postgres 2>/dev/null):$(id -g postgres 2>/dev/null) ;; esac
  case $owner in
    [1-9]*:[0-9]*)
      HOME=/nonexistent; export HOME
      for become in gosu su-exec; do
        if command -v $become >/dev/null; then exec $become "$owner" "$0" "$@"; fi
      done
      if setpriv --reuid="${owner%:*}" --regid="${owner#*:}" --clear-groups true 2>/dev/null; then
        exec setpriv --reuid="${owner%:*}" --regid="${owner#*:}" --clear-groups -- "$0" "$@"
      fi ;;
  esac
fi
exec "$0" "$@"
"""
"""Ends a script given to `sh -c SCRIPT PROGRAM ARGUMENTS`: run the program as the server's user."""


@dataclass(frozen=True)
class ComposeAccess:
    """The database of a Compose project: clients run inside its container, so they always fit the server."""

    project: Project
    service: str
    user: str
    password: Secret | None = None

    @property
    def description(self) -> str:
        """Return service and user."""
        return f"service {self.service} of {self.project.shown}{self.project.place} as {self.user}"

    def postgres(
        self, program: str, *arguments: str, database: str, options: str = "", name: str = APPLICATION
    ) -> Command:
        """Return the command; the database is named in the environment, which a name with "=" does not mislead.

        A password of our own goes first on standard input; without it the container's is used.
        """
        settings = {"PGUSER": self.user, "PGDATABASE": database, "PGAPPNAME": name}
        if options:
            settings["PGOPTIONS"] = options
        script = (_AS_GIVEN if self.password else _AS_THE_CONTAINER) + AS_THE_SERVER
        command = self.project.exec(self.service, "sh", "-c", script, program, *arguments, settings=settings)
        return replace(command, first=self.password) if self.password else command

    def typed(self, program: str, *arguments: str) -> str:
        """Return the command line with which a person runs a client in the container of the database."""
        command = (*self.project.program, *self.project.options, "exec", self.service, program, "-U", self.user)
        return shlex.join((*command, *arguments))

    def tool(self, program: str, *arguments: str) -> Command:
        """Return the command; it runs in the container, as the server's user, without a password."""
        return self.project.exec(self.service, "sh", "-c", AS_THE_SERVER, program, *arguments)

    def as_user(self, user: str, password: Secret) -> ComposeAccess:
        """Return the same way to the server for another role."""
        return replace(self, user=user, password=password)

    def explain(self, stderr: str) -> Cause | None:
        """Return the cause if the container cannot be reached at all, None if it was reached."""
        return engine_cause(stderr, self.project.shown)

    def is_stopped(self, pid: int) -> bool:
        """Return whether a process in the database's container is stopped."""
        done = run(self.project.exec(self.service, "cat", f"/proc/{pid}/stat"), timeout=_SECONDS)
        return done.status == 0 and state_of(done.stdout.decode(errors="replace")) in STOPPED

    def free(self, directory: str) -> int | None:
        """Return the free bytes of a directory in the database's container, None if they cannot be read."""
        done = run(self.project.exec(self.service, "df", "-Pk", directory), timeout=_SECONDS)
        fields = done.stdout.decode(errors="replace").splitlines()[-1:]
        words = fields[0].split() if done.status == 0 and fields else []
        return int(words[3]) * 1024 if len(words) > 3 and words[3].isdigit() else None  # noqa: PLR2004 - the 4th column
