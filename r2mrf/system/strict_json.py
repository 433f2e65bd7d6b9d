"""JSON that comes from outside: refused if it is too long, nested too deep, or names a key twice."""

from __future__ import annotations

import json
from typing import Any

MOST_BYTES = 16 << 20


def parse(content: bytes | str) -> Any:
    """Parse JSON.

    Raises:
        ValueError: it is no JSON, longer than `MOST_BYTES`, nested too deep, or names a key of an object twice.
    """
    if len(content) > MOST_BYTES:
        raise ValueError(f"{len(content):,} bytes; at most {MOST_BYTES:,} are read")
    try:
        return json.loads(content, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("nested too deep") from None


def parse_object(content: bytes | str) -> dict[str, Any]:
    """Parse JSON that must be an object. Raises ValueError as `parse`, and for anything else than an object."""
    found = parse(content)
    if not isinstance(found, dict):
        raise ValueError("another JSON value")
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} twice")
    return found
