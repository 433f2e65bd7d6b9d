"""The line that every long job shows on stderr: how far, how fast, how long still."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tqdm import tqdm

ON_A_TERMINAL, IN_A_LOG = 0.5, 10.0  # seconds between two lines


def progress(things: Iterable | None = None, **options) -> tqdm:
    """tqdm over `things`, or to be updated by hand; `options` are its own."""
    return tqdm(things, mininterval=ON_A_TERMINAL if sys.stderr.isatty() else IN_A_LOG, **options)
