"""JSON and CSV files of the project, written completely or not at all."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

from r2mrf.errors import UserError
from r2mrf.system import strict_json
from r2mrf.system.atomic import atomic_file


def write_json(path: Path, values: object) -> None:
    """Write a JSON file, completely or not at all; the same values give the same bytes.

    Raises:
        UserError: the file cannot be written.
    """
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def finite(value: float) -> float | None:
    """Return the value, or None if it is not finite, because JSON cannot express that."""
    return value if math.isfinite(value) else None


def write_csv(path: Path, rows: list[dict]) -> None:
    """Write a table, completely or not at all; its columns are the keys of the first row.

    Raises:
        UserError: the file cannot be written.
    """
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(rows)


def read_csv(path: Path) -> list[dict]:
    """Return the rows of a table; none if the file does not exist."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_json(path: Path) -> dict | None:
    """Return the object in a JSON file, or None if the file does not exist.

    Raises:
        UserError: the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        return strict_json.parse_object(path.read_bytes())
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): delete it, and run the stage again that makes it") from None
