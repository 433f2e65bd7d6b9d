"""Remembers for later runs of this user, on this machine, what takes seconds to find out.

    content = recall("graphs", key)       # None if nothing is there that can be trusted
    remember("graphs", key, content)

All of it can be made anew: the folder may be removed at any time. Where it cannot be read or written, nothing is
remembered, and nothing else changes.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from r2mrf.errors import UserError
from r2mrf.system.atomic import atomic_file
from r2mrf.system.regular_files import open_regular

MOST = 16  # entries per kind; those used last are kept
HASH = hashlib.sha256().digest_size  # bytes


def folder() -> Path:
    """Return R2MRF_CACHE or else `r2mrf` below XDG_CACHE_HOME or ~/.cache; it need not exist.

    Raises:
        RuntimeError: this user has no home.
    """
    if given := os.environ.get("R2MRF_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "r2mrf"


def recall(kind: str, key: str) -> bytes | None:
    """Return what was remembered under a key, unless it is damaged or another user's."""
    try:
        path = folder() / kind / key
        with open_regular(path) as file:
            is_ours = os.fstat(file.fileno()).st_uid == os.geteuid()
            digest, content = file.read(HASH), file.read()
        if not is_ours or hashlib.sha256(content).digest() != digest:
            return None
        os.utime(path)
    except (OSError, RuntimeError):
        return None
    return content


def remember(kind: str, key: str, content: bytes) -> None:
    """Remember content under a key, a file name. If two processes do so at the same time, the later one wins."""
    with suppress(OSError, RuntimeError, UserError):
        path = folder() / kind / key
        with atomic_file(path) as temporary:
            temporary.write_bytes(hashlib.sha256(content).digest() + content)
        by_use = sorted(path.parent.glob("[0-9a-f]*"), key=lambda entry: entry.stat().st_mtime)
        for entry in by_use[:-MOST]:
            entry.unlink(missing_ok=True)
