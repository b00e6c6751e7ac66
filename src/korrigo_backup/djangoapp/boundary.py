"""The only place where errors become the text of a management command: never a traceback, always a hint."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.db import Error as DatabaseProblem
from django.db import OperationalError, ProgrammingError
from django.utils.connection import ConnectionDoesNotExist

from korrigo_backup.core.language import language
from korrigo_backup.djangoapp.load.insert import first_line
from korrigo_backup.errors import (
    INTERRUPTED,
    KorrigoBackupError,
    Locked,
    Refused,
    Unreachable,
    UsageError,
    hint_with_id,
)
from korrigo_backup.postgres.server_error import EXPLAINED
from korrigo_backup.run.progress.display import Display
from korrigo_backup.run.progress.style import Style, style
from korrigo_backup.system import progress, screen
from korrigo_backup.system.files import explained
from korrigo_backup.translation.catalogue import translator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.core.management.base import OutputWrapper

_PRIMARY = 0xFF
"""The bits of an extended result code of SQLite that hold the primary one."""

_LOCKED, _FULL = frozenset({5, 6}), 13
"""SQLITE_BUSY and SQLITE_LOCKED, SQLITE_FULL. Not from the module sqlite3: some builds of Python have none."""


@contextmanager
def reported(doing: str, state: Callable[[], str]) -> Iterator[None]:
    """Turn every error that a person can mend into a CommandError with its exit code.

    `state` returns the state of the site if an error does not know it itself.
    """
    try:
        with _displayed(), explained(doing, state):
            yield
    except KorrigoBackupError as problem:
        raise _command_error(problem) from None
    except DatabaseProblem as problem:
        raise _command_error(explain(problem, doing, state())) from None
    except (ConnectionDoesNotExist, ImproperlyConfigured) as problem:
        refused = UsageError(str(problem), hint="see DATABASES and MEDIA_ROOT in the settings", state=state())
        raise _command_error(refused) from None
    except MemoryError:
        hint = "give the container more memory"
        short = KorrigoBackupError("out of memory", hint=hint, state=state(), id_="memory.exhausted")
        raise _command_error(short) from None
    except KeyboardInterrupt:
        text = f"interrupted\nstate: {state()}"
        raise CommandError(in_language(text), returncode=INTERRUPTED) from None


@contextmanager
def _displayed() -> Iterator[None]:
    """Show the progress of the block on standard error, on a terminal or in a log."""
    how = style(sys.stderr, os.environ, quiet=False, scheduled=False, document=False)
    if how is Style.NONE:
        yield
        return
    display = Display(sys.stderr, how, in_language)
    progress.watch(display.begin)
    try:
        yield
    finally:
        progress.watch(None)
        display.close()


def write(stream: OutputWrapper, text: str) -> None:
    """Write a line of a command above the progress on the terminal."""
    with screen.above():
        stream.write(text)


def explain(problem: DatabaseProblem, doing: str, state: str) -> KorrigoBackupError:
    """Return a database's error as an error of ours, chosen by its SQLSTATE or by SQLite's error code.

    SQLite has the same code for every error in a statement, also for a missing table or column: for these two the words
    decide.
    """
    words = f"cannot {doing}: {first_line(problem)}"
    code, sqlite = _sqlstate(problem), _sqlite_code(problem)
    if code in {"55P03", "40P01"} or sqlite in _LOCKED:
        hint = "stop the site's services (they hold its tables), then run it again"
        return Locked(words, hint=hint, state=state, id_="table.locked")
    if code == "42501":
        hint = "run as the role that owns the tables, or give it the right"
        return Refused(words, hint=hint, state=state, id_="role.rights")
    if code in {"53100", "53200"} or sqlite == _FULL:
        hint = "make room on the database server's disk, then run it again"
        return KorrigoBackupError(words, hint=hint, state=state, id_=EXPLAINED.get(code, "server.full"))
    if isinstance(problem, ProgrammingError) or "no such table" in words or "no such column" in words:
        hint = "bring the tables to the code: python manage.py migrate"
        return Refused(words, hint=hint, state=state, id_="validate.migrations")
    if isinstance(problem, OperationalError) and code[:2] in {"", "08", "28", "3D", "57", "53"}:
        hint = "see whether the database runs, and DATABASES in the settings"
        return Unreachable(words, hint=hint, state=state, id_=EXPLAINED.get(code, "services.database"))
    hint = "the database's log has the details"
    return KorrigoBackupError(words, hint=hint, state=state, id_=EXPLAINED.get(code, "server.statement"))


def _sqlstate(problem: DatabaseProblem) -> str:
    cause = problem.__cause__
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None) or ""


def _sqlite_code(problem: DatabaseProblem) -> int | None:
    """Return SQLite's primary result code, None for another database."""
    code = getattr(problem.__cause__, "sqlite_errorcode", None)
    return None if code is None else code & _PRIMARY


def in_language(text: str) -> str:
    """Return a text in the language of the locale: English if the host runs the command, because it sets C.UTF-8."""
    return translator(language(os.environ))(text)


def _command_error(problem: KorrigoBackupError) -> CommandError:
    text = f"{problem.message}\nhint: {hint_with_id(problem)}\nstate: {problem.state}"
    return CommandError(in_language(text), returncode=problem.exit_code)
