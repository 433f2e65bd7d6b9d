"""Limits how long a client that cannot be interrupted is waited for.

    data = within(60, lambda: client.read(path))

A client that hangs stays behind in its thread, which ends with the client or with the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, work: Callable[[], T]) -> T:
    """Return the result of `work`, or raise what it raises.

    Raises:
        TimeoutError: it took too long.
    """
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:
            result.set_exception(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        return result.result(seconds)
    except TimeoutError:
        _left_behind.append(thread)
        raise


def hanging() -> int:
    """Return how many requests of this process were given up and still hang."""
    _left_behind[:] = [thread for thread in list(_left_behind) if thread.is_alive()]
    return len(_left_behind)


_left_behind: list[threading.Thread] = []  # threads of requests that were given up
