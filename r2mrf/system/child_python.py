"""How this project starts a child process of its own in Python."""

from __future__ import annotations

import os
import sys


def command(code: str) -> list[str]:
    """Return the command line that runs `code`; start it with the variables of `environment`.

    `-P` keeps Python from importing from the current folder first, whose files may be anyone's.
    """
    return [sys.executable, "-P", "-c", code]


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment, so that the child imports from the same paths; `variables` are added."""
    paths = (path or os.getcwd() for path in sys.path)  # noqa: PTH109
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)} | variables
