"""Runs work that may crash, hang or eat memory in a child process, so that only that piece of work is lost.

    guard = Guard(decode, seconds=60, memory=4 << 30)
    pixels = guard(photo)       # returns or raises what decode does; raises Lost if the child died

Decoders are written in C and read files from anywhere. One child serves many calls; after a death, the next call
starts another child.
"""

from __future__ import annotations

import resource
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from r2mrf.errors import picklable
from r2mrf.system import child_python

# Limits of decoding one photo that came over HTTP.
SECONDS = 20
MEMORY = 768 * 2**20

START, GRACE = 120.0, 5.0  # seconds: for a child to start; for it to end by itself after its time is up


class Lost(Exception):
    """The child died of the same piece of work in every attempt. `reason`: crashed | timeout."""

    def __init__(self, reason: str, detail: str):
        super().__init__(detail)
        self.reason = reason


class Guard:
    """Calls `work` in a child process.

    Args:
        work: a function of a module, or a partial of one; arguments and results are pickled.
        seconds: time limit of one call.
        memory: bytes that the child may allocate; beyond that it gets a MemoryError.
        tries: number of attempts before a call is given up; more than one, because not every death is the work's fault.
    """

    def __init__(self, work: Callable, seconds: float, memory: int, tries: int = 2):
        self._terms = work, seconds, memory
        self._patience, self._tries = seconds + GRACE, tries
        self._child: subprocess.Popen | None = None
        self._channel: Connection

    def __call__(self, *arguments: Any) -> Any:
        """Return what `work` returns, or raise what it raises.

        Raises:
            Lost: the child died in every attempt.
        """
        for _ in range(self._tries):
            if self._child is None or self._child.poll() is not None:
                self._start()
            answer: Any = None
            try:
                self._channel.send(arguments)
                good, answer = self._channel.recv() if self._channel.poll(self._patience) else (None, None)
            except (EOFError, OSError):
                good = None
            except BaseException:  # after an interrupt, a late answer must not be taken for that of the next call
                self._end()
                raise
            if good:
                return answer
            if good is not None:
                raise answer
            code = self._end()
        if code in (-signal.SIGALRM, None):
            raise Lost("timeout", f"not done in {self._terms[1]:g} seconds, {self._tries} times")
        how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        raise Lost("crashed", f"the decoder's process ended ({how}), {self._tries} times")

    def close(self) -> None:
        """End the child, if there is one."""
        if self._child:
            self._end()

    def _start(self) -> None:
        """Start a child. One that is killed meanwhile, as when memory runs out, is no fault of the work."""
        for _ in range(self._tries):
            self._spawn()
            try:
                if self._channel.poll(START) and self._channel.recv():
                    return
            except (EOFError, OSError):
                pass
            status = self._end()
        raise RuntimeError(f"the child process did not start (exit status {status})")

    def _spawn(self) -> None:
        self._child, self._channel = start_child(__name__, OMP_NUM_THREADS="1")
        with suppress(OSError):  # it has ended already
            self._channel.send(self._terms)

    def _end(self) -> int | None:
        """End the child and return its exit status; None if it had to be killed."""
        child, self._child = self._child, None
        assert child is not None  # `_start` made it
        self._channel.close()
        with suppress(subprocess.TimeoutExpired):
            return child.wait(GRACE)
        child.kill()  # not waited for: a process that hangs in the kernel does not end
        return None


def start_child(module: str, **variables: str) -> tuple[subprocess.Popen, Connection]:
    """Start a process that runs `serve` of a module; return it, and the channel to it.

    What libraries print about damaged files is hidden.

    Args:
        variables: further variables of its environment.
    """
    channel, theirs = Pipe()
    child = subprocess.Popen(
        child_python.command(f"from {module} import serve; serve({theirs.fileno()})"),
        pass_fds=[theirs.fileno()],
        env=child_python.environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    theirs.close()
    return child, channel


def serve(channel_number: int) -> None:
    """Answer calls in the child process until the parent is gone."""
    channel = Connection(channel_number)
    work, seconds, memory = channel.recv()
    channel.send(True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    with suppress(OSError):  # if the machine runs out of memory, this process is to be killed first
        Path("/proc/self/oom_score_adj").write_text("1000")
    with suppress(EOFError, OSError):
        while True:
            arguments = channel.recv()
            # the signal's default action ends the process, even inside a library call and without a parent
            signal.setitimer(signal.ITIMER_REAL, seconds)
            try:
                answer = True, work(*arguments)
            except Exception as error:
                answer = False, picklable(error)
            signal.setitimer(signal.ITIMER_REAL, 0)
            channel.send(answer)
