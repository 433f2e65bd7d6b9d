"""Fetches files in a child process: the clients of buckets cannot be interrupted, and can keep a process from ending.

    fetch = Fetcher(read)      # `read`, what it is given and what it returns can be pickled
    data = fetch(wanted, 60)   # from any thread; returns or raises what `read` does, or raises TimeoutError

One child serves all threads. After a request that hangs, new requests go to another child, and the old one is killed as
soon as nobody waits for it any more.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from itertools import count
from multiprocessing.connection import Connection
from typing import Any

from r2mrf.errors import picklable
from r2mrf.system.sandbox import start_child


class Fetcher:
    """Calls `read` in a child process."""

    def __init__(self, read: Callable[[Any], Any]):
        self._read = read
        self._child: _Child | None = None
        self._lock = threading.Lock()

    def __call__(self, wanted: Any, seconds: float) -> Any:
        """Return what `read` returns within so many seconds, or raise what it raises.

        Raises:
            TimeoutError: it took too long.
            ChildProcessError: the child ended meanwhile.
        """
        with self._lock:
            if self._child is None or self._child.ended:
                self._child = _Child(self._read)
            child = self._child
            number, future = child.ask(wanted)
        try:
            return future.result(seconds)
        except TimeoutError:
            if future.done():  # what `read` raised
                raise
            with self._lock:
                self._child = None if self._child is child else self._child
                child.give_up(number)
            raise


class _Child:
    """A child process, and the requests that wait for it."""

    def __init__(self, read: Callable[[Any], Any]):
        self._process, self._channel = start_child(__name__)
        self._numbers, self._waiting = count(), dict[int, Future]()
        self.ended = self._retired = False
        with suppress(OSError):  # it has ended already
            self._channel.send(read)
        threading.Thread(target=self._listen, daemon=True).start()

    def ask(self, wanted: Any) -> tuple[int, Future]:
        number, future = next(self._numbers), Future[Any]()
        self._waiting[number] = future
        with suppress(OSError):  # `_listen` notices
            self._channel.send((number, wanted))
        return number, future

    def give_up(self, number: int) -> None:
        """Forget a request that hangs; after that the child gets no further one."""
        self._waiting.pop(number, None)
        self._retired = True
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._retired and not self._waiting:
            self._process.kill()

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                number, good, answer = self._channel.recv()
                if future := self._waiting.pop(number, None):
                    future.set_result(answer) if good else future.set_exception(answer)
                self._end_if_idle()
        self.ended = True
        self._process.kill()
        self._process.wait()
        for number in list(self._waiting):
            if future := self._waiting.pop(number, None):
                future.set_exception(ChildProcessError("the process that fetches has ended"))


def serve(channel_number: int) -> None:
    """Answer requests in the child process, each in a thread of its own, until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    channel, lock = Connection(channel_number), threading.Lock()

    def answer(number: int, wanted: Any) -> None:
        try:
            done = number, True, read(wanted)
        except Exception as error:
            done = number, False, picklable(error)
        with lock, suppress(OSError):
            channel.send(done)

    with suppress(EOFError, OSError):
        read = channel.recv()
        while True:
            threading.Thread(target=answer, args=channel.recv(), daemon=True).start()
    os._exit(0)  # a client that hangs would keep the process
