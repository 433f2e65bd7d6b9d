"""Runs work that may need Ray in a child process, so that this process survives whatever ends the child.

    result = supervised("pipelines.scoring.run:score", sources, out, report=print)

When Ray's raylet or control store is killed, for example because memory ran out, Ray ends the connected process without
an exception. The parent then reports that, and how to resume.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from r2mrf.errors import UserError, picklable
from r2mrf.system import child_python
from r2mrf.system.address import redacted

PATIENCE = 60.0  # seconds that the child gets to end after an interrupt
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


def supervised(work: str, *arguments: Any, report: Callable[[Any], object]) -> Any:
    """Call a function in a child process and return its result, or raise what it raises.

    Args:
        work: MODULE:FUNCTION; called with the arguments, which are pickled, and with a function `report`.
        report: called in this process with whatever the child reports.

    Raises:
        UserError: the child ended without a result, as it does when Ray is killed.
    """
    channel, theirs = Pipe()
    code = f"from pipelines.cluster.supervised import serve; serve({theirs.fileno()}, {os.getpid()})"
    # in its own session, it receives a Ctrl-C once, from this process
    child = subprocess.Popen(
        child_python.command(code),
        pass_fds=[theirs.fileno()],
        env=child_python.environment(),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    theirs.close()
    try:
        channel.send((work, arguments))
        while True:
            try:
                kind, value = channel.recv()
            except (EOFError, OSError):
                break
            if kind != "report":
                child.wait()
            if kind == "result":
                return value
            if kind == "error":
                raise value
            report(value)
        raise UserError(_ended(child.wait()))
    except BaseException:
        _end(child)
        raise
    finally:
        channel.close()


def in_a_fork(work: Callable[[], object]) -> NoReturn:
    """Do a program's work in a fork of this process, and exit with the fork's status.

    If the fork is killed before its work is done, a sentence is printed, and the status is 2. Call this before Python
    starts any thread. Unlike a new process, a fork need not import anything again.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    parent, (reading_end, writing_end) = os.getpid(), os.pipe()
    child = os.fork()
    if not child:
        os.close(reading_end)
        os.setsid()  # in its own session, it receives a Ctrl-C once, from its parent
        _die_with(parent)
        try:
            work()
        finally:
            os.write(writing_end, b"done")  # not reached if Ray ends the process
        sys.exit(0)
    os.close(writing_end)
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # as it is in the background of a shell
            signal.signal(number, lambda number, _: os.kill(child, number))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if not os.read(reading_end, 1):
        print(f"error: {_ended(status)}", file=sys.stderr, flush=True)
        status = 2
    os._exit(status if status >= 0 else 128 - status)


def _ended(status: int) -> str:
    how = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
    why = f"the work has ended or was killed, perhaps because memory ran out ({how})"
    return f"{why}: run the same command again to resume"


def _die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent ends; only Linux can do that."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:  # the parent has ended already
        os._exit(1)


def serve(channel_number: int, parent: int) -> None:
    """Do the work in the child process: run the function, pass on its reports, and send its result."""
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    channel = Connection(channel_number)
    work, arguments = channel.recv()
    try:
        module, _, name = work.partition(":")
        result = getattr(importlib.import_module(module), name)(
            *arguments, report=lambda v: channel.send(("report", v))
        )
        channel.send(("result", result))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        _send_error(channel, error)


def _send_error(channel: Connection, error: Exception) -> None:
    import traceback

    if not isinstance(error, UserError | OSError | ModuleNotFoundError):  # the command explains these itself
        # a bug of ours; only this process knows where it happened
        print(redacted("".join(traceback.format_exception(error))), file=sys.stderr)
    channel.send(("error", picklable(error)))


def _end(child: subprocess.Popen) -> None:
    """End a child as Ctrl-C does; after a second Ctrl-C, kill it at once."""
    if child.poll() is not None:
        return
    child.send_signal(signal.SIGINT)
    try:
        child.wait(PATIENCE)
    except BaseException:
        child.kill()
        child.wait()
        raise KeyboardInterrupt from None
