"""The exit statuses of `r2mrf`, and the list of inputs that failed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import islice

from pipelines.command.terminal import printable
from r2mrf.system.address import redacted

DONE, SOME_FAILED, COULD_NOT_RUN = 0, 1, 2
SHOWN = 100  # failures listed one by one


def list_failures(failures: Iterable[str], number: int) -> int:
    """Print the first failures to stderr and return the exit status; `number` is the number of all failures."""
    for failure in islice(failures, SHOWN):
        print(f"failed: {printable(redacted(failure))}", file=sys.stderr)
    if number > SHOWN:
        print(f"failed: and {number - SHOWN} more", file=sys.stderr)
    return SOME_FAILED if number else DONE
