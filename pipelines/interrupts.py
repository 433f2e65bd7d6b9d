"""Ctrl-C that is not lost.

Python raises KeyboardInterrupt wherever the program is just then, and drops it if that is a place that cannot raise:
a finalizer, a callback of a library in C. Who works in a loop asks once more.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def remembered() -> Iterator[Callable[[], None]]:
    """Gives a function that raises KeyboardInterrupt if there was a Ctrl-C since; outside of the main thread, which
    alone hears of it, the function does nothing."""
    heard = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        heard.set()
        signal.default_int_handler(number, frame)

    def check() -> None:
        if heard.is_set():
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
