"""The progress line that every long job shows on stderr: how far it is, how fast, and how long it will still take."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tqdm import tqdm

ON_A_TERMINAL, IN_A_LOG = 0.5, 10.0  # seconds between two lines


class Log:
    """Output for logs: prints each update on its own line instead of overwriting the last one."""

    encoding = "ascii"  # makes tqdm draw its bar in ASCII

    def write(self, text: str) -> None:
        if line := text.strip():
            print(line, file=sys.stderr)

    def flush(self) -> None:
        sys.stderr.flush()


def progress(things: Iterable | None = None, **options) -> tqdm:
    """Return a tqdm over `things`, or one to update by hand; `options` are tqdm's own."""
    if sys.stderr.isatty():
        return tqdm(things, mininterval=ON_A_TERMINAL, **options)
    return tqdm(things, mininterval=IN_A_LOG, file=Log(), **options)
