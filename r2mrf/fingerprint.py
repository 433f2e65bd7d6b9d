"""Names for "made from exactly this": SHA-256 over parameters, input files and code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path


def fingerprint(*parts: object) -> str:
    """Hex SHA-256 of JSON-able parts; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def of_files(paths: Iterable[Path]) -> dict[str, str]:
    """File name -> SHA-256 of its content, for files read whole (a name must not stand twice)."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths)}


def of_code(*modules: str) -> dict[str, str]:
    """SHA-256 of the named modules of r2mrf, so that a changed rule is not mixed with older results."""
    return of_files(Path(__file__).with_name(f"{module}.py") for module in modules)
