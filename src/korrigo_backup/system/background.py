"""A call that runs in a thread of its own while the caller does something else."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Background(Generic[T]):
    """A call that begins at once. The end of the program does not wait for it."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._future: Future[T] = Future()
        threading.Thread(target=self._run, args=(call,), daemon=True).start()

    def result(self) -> T:
        """Wait for the end of the call, and return its result or raise its error."""
        return self._future.result()

    def _run(self, call: Callable[[], T]) -> None:
        try:
            self._future.set_result(call())
        except BaseException as problem:  # noqa: BLE001 - raised where the result is wanted
            self._future.set_exception(problem)
