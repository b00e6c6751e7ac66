"""The error tree: each class is a situation an operator can be in.

    KorrigoBackupError       1    something failed
    ├── UsageError           2    the command or the configuration is wrong
    ├── PartlyDone           3    a good result exists, something after it failed
    ├── Refused              4    a check before the work failed
    │   └── NotConfigured    4    the site lacks our app, or manage.py is not at the expected path
    ├── Cancelled            5    the operator cancelled
    ├── NotFound             6    no such artifact
    ├── Locked               7    another run is at work
    ├── Unreachable          8    the database or a service cannot be reached
    ├── ProofFailed          9    the data read differ from the saved data
    └── ProblemsFound       10    an inspection found problems that need a person

The numbers are the exit codes of the command (docs/reference/exit-codes.md). Ctrl-C is 130.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

UNCHANGED = "nothing was changed"

INTERRUPTED = 130
"""The exit code of a run that a signal ended."""


class World(StrEnum):
    """How an error leaves the site. Code decides on this; `state` is the sentence for the operator.

    `CHANGED` covers each outcome that only the sentence describes: stopped, done in part, not known.
    """

    UNCHANGED = "unchanged"
    ROLLED_BACK = "rolled back"
    CHANGED = "changed"


class KorrigoBackupError(Exception):
    """Base of every error that reaches a person.

    `message` names the object and the cause, `hint` the next step, `state` the condition of the site: unchanged, rolled
    back, or stopped with the commands to go on. `world` is the same as a code. `detail` names objects and rows in the
    server's own words; it may hold personal data, so it is printed for the operator and goes into no journal and no
    notification.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str, state: str | None = None, detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.state = UNCHANGED if state is None else state
        self.world = World.UNCHANGED if state is None else World.CHANGED
        self.detail = detail

    def leave(self, world: World, state: str) -> None:
        """Set how the site is left, as a code and as a sentence."""
        self.world, self.state = world, state


class UsageError(KorrigoBackupError):
    """The command line or the configuration asks for something that does not exist."""

    exit_code = 2


class PartlyDone(KorrigoBackupError):
    """The main result is there and proven; a later step failed."""

    exit_code = 3


class Refused(KorrigoBackupError):
    """A check before the work failed: space, rights, versions, another site. Nothing was changed."""

    exit_code = 4


class NotConfigured(Refused):
    """The site does not have our app, or there is no manage.py where it is looked for."""


class Cancelled(KorrigoBackupError):
    """The operator did not confirm."""

    exit_code = 5


class NotFound(KorrigoBackupError):
    """The artifact that was named does not exist."""

    exit_code = 6


class Locked(KorrigoBackupError):
    """Another run holds the lock of this site."""

    exit_code = 7


class TimedOut(KorrigoBackupError):
    """A command did not come to its end in the time that it has."""


class Unreachable(KorrigoBackupError):
    """The database or a service does not answer, or does not let us in."""

    exit_code = 8


class ProofFailed(KorrigoBackupError):
    """Content differs from its manifest, or is cut, damaged or of another kind."""

    exit_code = 9


class ProblemsFound(KorrigoBackupError):
    """A verb that only inspects has found problems that need a person; it has printed all of them."""

    exit_code = 10


class Interrupted(BaseException):
    """A signal asked the run to end; the text of the exception is the state of the site, `world` the same as a code.

    It is no Exception, so that error handlers do not go on after it; and no KeyboardInterrupt, because typer turns that
    into an exit without a message.
    """

    def __init__(self, state: str = "", *, world: World = World.CHANGED) -> None:
        super().__init__(state)
        self.world = world
