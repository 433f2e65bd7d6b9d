"""Ctrl-C that is not lost.

Python raises KeyboardInterrupt wherever the program is just then, and drops it if that is a place that cannot raise:
a finalizer, a callback of a library in C. A loop therefore asks at each turn.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupts_kept() -> Iterator[Callable[[], None]]:
    """Gives a function that raises KeyboardInterrupt if there was a Ctrl-C since. It does nothing where Ctrl-C is
    ignored or heard by somebody else, or outside of the main thread, which alone can hear of it."""
    heard = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        heard = True
        raise KeyboardInterrupt

    def check() -> None:
        if heard:
            raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield check
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
