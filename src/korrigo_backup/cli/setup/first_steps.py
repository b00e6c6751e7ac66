"""The parts of `init` that ask a person, and its last words: the password, `.gitignore`, the next commands."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from korrigo_backup.artifact.history import proven
from korrigo_backup.cli.output import CommandContext, ask_yes, say
from korrigo_backup.cli.program.standard_input import read_hidden
from korrigo_backup.core.secret import Secret
from korrigo_backup.errors import KorrigoBackupError, UsageError
from korrigo_backup.run.journal import read
from korrigo_backup.setup import gitignore, login
from korrigo_backup.site.django_settings import ask_password, find_manage

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence

    from korrigo_backup.app.build import Wired
    from korrigo_backup.core.finding import Finding

_TRIES = 3

_NEXT_VERBS = (
    ("backup", "korrigo-backup backup full", "the first backup, database and media"),
    ("schedule", "korrigo-backup schedule install", "every night from now on"),
    ("notify", "korrigo-backup notify test", "whether its messages arrive"),
    ("kit", "korrigo-backup kit make", "the files that a bare server needs besides the backups"),
    ("drill", "korrigo-backup drill latest-point", "the rehearsal: then you know that you can restore"),
)
"""The next steps, if there are such verbs."""

_UNREADY = {"notify": {"notify.nobody"}, "kit": {"kit.unconfigured", "kit.library"}}
"""The findings, printed above with their hints, with which a verb would only fail."""


def password(wired: Wired, again: Callable[[Secret], Wired], environment: Mapping[str, str]) -> Secret | None:
    """Return the password that the database of a site reached directly takes, None if the configured one will do.

    It is that of Django's settings; else a person is asked on a terminal. `again` returns the site with a password.
    """
    if wired.config.composed or not login.is_refused(wired.site):
        return None

    def refused(one: Secret) -> bool:
        return login.is_refused(again(one).site)

    if found := login.accepted(_of_django(environment), refused):
        say("✅ The password of the database is that of Django's settings")
        return found
    database = wired.config.database
    role = f"the role {database.user} at {database.host}"
    say(f"❓ The database refuses {role}")
    return login.accepted(_typed(f"Password of {role}: "), refused) if sys.stdin.isatty() else None


def _of_django(environment: Mapping[str, str]) -> Iterator[Secret]:
    manage = find_manage(Path.cwd(), environment)
    try:
        found = ask_password(manage, environment) if manage else None
    except KorrigoBackupError:
        found = None
    if found:
        CommandContext.known_secrets = (*CommandContext.known_secrets, found)
        yield found


def _typed(question: str) -> Iterator[Secret]:
    for _ in range(_TRIES):
        try:
            typed = read_hidden(question)
        except UsageError:
            return
        if not typed:
            return
        CommandContext.known_secrets = (*CommandContext.known_secrets, Secret(typed))
        yield Secret(typed)


def keep_password(found: Secret) -> None:
    """Write the password that was found into our own settings file."""
    path = login.keep(Path.cwd(), found)
    say(f"✅ Password of the database: in {path.name} (mode 600)")


def keep_out_of_git(wired: Wired) -> None:
    """Keep the backups out of git, and offer the lines for files with secrets."""
    wired.catalog.prepare()
    if gitignore.shield(wired.catalog.directory, Path.cwd()):
        say(f"✅ {wired.catalog.directory / gitignore.NAME} keeps the backups out of git")
    lines = gitignore.lines_to_add(Path.cwd())
    if not lines:
        return
    shown = ", ".join(lines)
    if sys.stdin.isatty() and ask_yes(f"Add {shown} to .gitignore, since secrets are in it? (yes/no): "):
        say(f"✅ {gitignore.add(Path.cwd(), lines).name} keeps {shown} out of git")
    else:
        say(f"⚠️ git would take {shown}, which may hold secrets")
        say(f"   hint: put into .gitignore: {' '.join(f'/{one}' for one in lines)}")


def next_steps(verbs: Container[str], wired: Wired, findings: Sequence[Finding]) -> None:
    """Print what cannot be done now, the next commands, and last the proof that the site can be restored."""
    for finding in findings:
        if finding.id == "role.createdb" and finding.hint:
            say(f"🚫 As it is now, no restore is possible next to the live data: {finding.message}")
            say(f"   run as the server's superuser: {as_superuser(finding.hint)}")
    daily = next((f"{job.title} every night from now on" for job in wired.jobs() if job.id == "daily"), "")
    proof = proven(read(wired.catalog.directory))
    unready = {verb for verb, ids in _UNREADY.items() if any(finding.id in ids for finding in findings)}
    say("➡️  Next")
    for verb, line, why in _NEXT_VERBS:
        if verb in verbs and verb not in unready and not (verb == "drill" and proof):
            say(f"   {line:<50} {daily or why if verb == 'schedule' else why}")
    if proof:
        seconds = "" if proof.seconds is None else f" in {proof.seconds:.0f} s"
        say(f"✅ You can restore: proven at {proof.at.astimezone():%H:%M} on {proof.at.astimezone():%Y-%m-%d}{seconds}")


def as_superuser(statement: str) -> str:
    """Return the command that runs a statement as the superuser of a server on this machine."""
    return shlex.join(("sudo", "-u", "postgres", "psql", "-c", statement))
