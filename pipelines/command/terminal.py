"""Makes text safe for a terminal: file names from strangers may contain control characters, addresses passwords."""

from __future__ import annotations

import re
import sys
from typing import TextIO

from r2mrf.system.address import redacted


def printable(text: str, kept: str = "") -> str:
    """Replace control characters by \\xNN, except those in `kept`."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda m: m[0] if m[0] in kept else f"\\x{ord(m[0]):02x}", text)


def say(text: object, stream: TextIO | None = None) -> None:
    """Print a line. Control characters and passwords are kept only if a program reads the output through a pipe.

    Args:
        stream: the stream to print to; None = standard output.
    """
    out = stream or sys.stdout
    to_program = out is sys.stdout and not out.isatty()
    print(text if to_program else printable(redacted(str(text)), kept="\n\t"), file=out)
