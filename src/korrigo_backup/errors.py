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
    ├── OriginalsLeft        9    an anonymised copy still holds original values, and was removed
    └── ProblemsFound       10    an inspection found problems that need a person

The numbers are the exit codes of the command (docs/reference/exit-codes.md). Ctrl-C is 130.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, NamedTuple

UNCHANGED = "nothing was changed"

INTERRUPTED = 130
"""The exit code of a run that a signal ended."""


class World(StrEnum):
    """How an error leaves the site. Code decides on this; `state` is the sentence for the operator.

    `STOPPED`: services may be down until a person goes on. `CHANGED` covers each outcome that only the sentence
    describes: done in part, not known.
    """

    UNCHANGED = "unchanged"
    ROLLED_BACK = "rolled back"
    STOPPED = "stopped"
    CHANGED = "changed"


class Cause(NamedTuple):
    """The cause of a failure that another program has named: the id of its explanation, and a hint."""

    id: str
    hint: str


class KorrigoBackupError(Exception):
    """Base of every error that reaches a person.

    `message` names the object and the cause, `hint` the next step, `state` the condition of the site: unchanged, rolled
    back, or stopped with the commands to go on. `world` is the same as a code. `detail` names objects and rows in the
    server's own words; it may hold personal data, so it is printed for the operator and goes into no journal and no
    notification. `id` names the explanation of the situation (`korrigo-backup explain ID`); it is "" if only the exit
    code has one.
    """

    exit_code: ClassVar[int] = 1
    id: str = ""

    def __init__(
        self, message: str, *, hint: str, state: str | None = None, detail: str = "", id_: str | None = None
    ) -> None:
        super().__init__(message)
        self.id = type(self).id if id_ is None else id_
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

    id = "django.absent"


class Cancelled(KorrigoBackupError):
    """The operator did not confirm."""

    exit_code = 5


class NotFound(KorrigoBackupError):
    """The artifact that was named does not exist."""

    exit_code = 6
    id = "artifact.absent"


class Locked(KorrigoBackupError):
    """Another run holds the lock of this site. `doing` is the work that it has written into its lock, if known."""

    exit_code = 7
    id = "run.locked"
    doing: str = ""


class TimedOut(KorrigoBackupError):
    """A command did not come to its end in the time that it has."""

    id = "run.timed_out"


class Unreachable(KorrigoBackupError):
    """The database or a service does not answer, or does not let us in."""

    exit_code = 8


class ProofFailed(KorrigoBackupError):
    """Content differs from its manifest, or is cut, damaged or of another kind."""

    exit_code = 9
    id = "artifact.damaged"


class OriginalsLeft(KorrigoBackupError):
    """A copy that was to be anonymised holds original values. It says nothing about the backup."""

    exit_code = 9
    id = "anonymise.left"


class ProblemsFound(KorrigoBackupError):
    """A verb that only inspects has found problems that need a person; it has printed all of them."""

    exit_code = 10


EXPLAIN = "korrigo-backup explain"


def hint_with_id(problem: KorrigoBackupError) -> str:
    """Return the hint of an error, with the command that explains its situation, if it has an id."""
    return f"{problem.hint} ({EXPLAIN} {problem.id})" if problem.id else problem.hint


def split_hint(text: str) -> tuple[str, str]:
    """Return the hint and the id of `hint_with_id`, as another process of this program printed it."""
    hint, found, rest = text.rpartition(f" ({EXPLAIN} ")
    return (hint, rest.removesuffix(")")) if found and rest.endswith(")") else (text, "")


class Interrupted(BaseException):
    """A signal asked the run to end; the text of the exception is the state of the site, `world` the same as a code.

    It is no Exception, so that error handlers do not go on after it; and no KeyboardInterrupt, because typer turns that
    into an exit without a message.
    """

    def __init__(self, state: str = "", *, world: World = World.CHANGED) -> None:
        super().__init__(state)
        self.world = world
