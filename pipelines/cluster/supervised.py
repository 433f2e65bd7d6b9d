"""Work that may need Ray, done in a child process, so that this one outlives whatever ends that.

    result = supervised("pipelines.scoring.work:score", sources, out, report=print)

Where Ray's raylet or its control store is killed, as when memory runs out, Ray ends the process that is connected to it
without an exception. The parent then says so, and how to go on.
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
from typing import Any

from r2mrf.errors import UserError, one_line
from r2mrf.system.address import redacted

PATIENCE = 60.0  # seconds that the child may take to end after an interrupt
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


def supervised(work: str, *arguments: Any, report: Callable[[Any], object]) -> Any:
    """Call a function in a child process and return its result, or raise what it raises.

    Args:
        work: MODULE:FUNCTION. It is called with the arguments, which are pickled, and with a function `report`.
        report: is called here with whatever the child reports.

    Raises:
        UserError: the child ended without a result, as it does when Ray is killed.
    """
    channel, theirs = Pipe()
    code = f"from pipelines.cluster.supervised import serve; serve({theirs.fileno()}, {os.getpid()})"
    # in a session of its own, a Ctrl-C reaches it once, from here
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        pass_fds=[theirs.fileno()],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},  # noqa: PTH109
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
        status: int = child.wait()
        how = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
        raise UserError(
            f"the work has ended or was killed, perhaps since memory ran out ({how}); the same command goes on "
            "from here"
        )
    except BaseException:
        _end(child)
        raise
    finally:
        channel.close()


def serve(channel_number: int, parent: int) -> None:
    """Run in the child: do the work, report, and send its result."""
    with suppress(OSError, AttributeError):  # Linux; elsewhere a child may outlive a killed parent
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:  # it has died already
        return
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

    if not isinstance(error, UserError | OSError | ModuleNotFoundError):  # the command says what to install
        # a bug of ours, whose place is known here only
        print(redacted("".join(traceback.format_exception(error))), file=sys.stderr)
    try:
        channel.send(("error", error))
    except Exception:  # it cannot be pickled
        kind = UserError if isinstance(error, UserError) else RuntimeError
        channel.send(("error", kind(one_line(error, 1000))))


def _end(child: subprocess.Popen) -> None:
    """End a child, as Ctrl-C does; a second Ctrl-C does not wait for it."""
    if child.poll() is not None:
        return
    child.send_signal(signal.SIGINT)
    try:
        child.wait(PATIENCE)
    except BaseException:
        child.kill()
        child.wait()
        raise KeyboardInterrupt from None
