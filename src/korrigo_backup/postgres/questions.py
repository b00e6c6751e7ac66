"""Many short questions to a server through one session: through a container, each session costs a tenth of a second."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from korrigo_backup.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from korrigo_backup.postgres.client import Session


class Asker:
    """Answers questions one after the other through a session that is opened with the first.

    A session whose question fails has ended: the next question opens another. While a thread asks, no other is served.
    """

    def __init__(self, opened: Callable[[], AbstractContextManager[Session]]) -> None:
        self._opened = opened
        self._stack = ExitStack()
        self._session: Session | None = None
        self._busy = threading.Lock()

    def answer(self, sql: str) -> bytes | None:
        """Return the output of the statements, None if this session cannot be opened or was lost.

        Raises as `script`.
        """
        if not self._busy.acquire(blocking=False):
            return None
        try:
            return self._answered(sql)
        except Unreachable:  # a new session gives the full error, or can be opened
            self.close()
            return None
        except BaseException:
            self.close()
            raise
        finally:
            self._busy.release()

    def _answered(self, sql: str) -> bytes:
        if self._session is None:
            self._session = self._stack.enter_context(self._opened())
        return self._session.run(sql)

    def close(self) -> None:
        """End the session."""
        self._session = None
        self._stack.close()
