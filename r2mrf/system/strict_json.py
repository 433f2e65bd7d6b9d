"""Parses JSON from outside; refuses it if it is too long, nested too deep, or has duplicate keys."""

from __future__ import annotations

import json
from typing import Any

MOST_BYTES = 16 << 20


def parse(content: bytes | str) -> Any:
    """Parse JSON.

    Raises:
        ValueError: the content is not JSON, longer than `MOST_BYTES`, nested too deep, or has a duplicate key.
    """
    if len(content) > MOST_BYTES:
        raise ValueError(f"{len(content):,} bytes; at most {MOST_BYTES:,} are read")
    try:
        return json.loads(content, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("nested too deep") from None


def parse_object(content: bytes | str) -> dict[str, Any]:
    """Parse JSON that must be an object. Raises ValueError like `parse`, and for any other JSON value."""
    found = parse(content)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return found
