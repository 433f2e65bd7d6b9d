"""A process that is told to end while it ends already, as Ray tells its workers, prints no traceback."""

import subprocess
import sys

BEING_ENDED = """
import os, signal, sys, threading, time
import pipelines

signal.signal(signal.SIGTERM, lambda *_: {handler})
threading.Thread(target=time.sleep, args=(1,)).start()  # the end of the program waits for it
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
"""


def said_by(handler: str) -> str:
    """Return what a program prints whose handler of SIGTERM is this expression."""
    code = BEING_ENDED.format(handler=handler)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr


def test_a_request_to_end_is_not_an_error():
    assert said_by("sys.exit(1)") == ""


def test_other_exceptions_are_still_shown():
    assert "ZeroDivisionError" in said_by("1 / 0")
