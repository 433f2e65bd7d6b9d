"""Text for a terminal: names come from strangers, and control characters in them would steer it; addresses may hold
passwords."""

from __future__ import annotations

import re
import sys
from typing import TextIO

from r2mrf.system.address import redacted


def printable(text: str, kept: str = "") -> str:
    """Write control characters as \\xNN, but for those that are `kept`."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda m: m[0] if m[0] in kept else f"\\x{ord(m[0]):02x}", text)


def say(text: object, stream: TextIO | None = None) -> None:
    """Print a line. Control characters, and passwords in addresses, stay only in what a program reads through a pipe.

    Args:
        stream: where to; None = the standard output.
    """
    out = stream or sys.stdout
    to_program = out is sys.stdout and not out.isatty()
    print(text if to_program else printable(redacted(str(text)), kept="\n\t"), file=out)
