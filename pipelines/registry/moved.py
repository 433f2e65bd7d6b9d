"""Finds the files of runs again after a project was moved, renamed or copied: MLflow's database has absolute paths."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import unquote, urlparse

FILES = "mlartifacts"  # folder beside the database
_PLACES = {  # columns with places of files
    "runs": "artifact_uri", "logged_models": "artifact_location", "model_versions": "storage_location",
}  # fmt: skip


def follow(database: Path) -> None:
    """Correct the places of files in a project's database if the project is no longer where the database says.

    A project is copied if the database of the other one still exists. A folder elsewhere without a database is one
    that somebody has chosen: it stays. Old runs are corrected only if their files have come along.
    """
    now = database.parent / FILES
    # MLflow itself says what is wrong with a database
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
        for (place,) in found:
            then = Path(unquote(urlparse(place or "").path))
            if not (place or "").startswith("file:") or not _is_left_behind(then, now, database.name):
                continue
            _replace(connection, "experiments", "artifact_location", place, now.as_uri())
            for table, column in _PLACES.items() if now.is_dir() else ():
                _replace(connection, table, column, place, now.as_uri())
            connection.commit()
            print(f"{database} named files in {then}: from now on they are in {now}", file=sys.stderr)


def _is_left_behind(then: Path, now: Path, database: str) -> bool:
    """Return whether the database was beside the recorded folder, and is beside another one now."""
    if then.name != FILES or then.resolve() == now.resolve():
        return False
    emptied = now.is_dir() and not _exists(then)
    return emptied or not _exists(then.parent) or _exists(then.parent / database)


def _exists(path: Path) -> bool:
    """Return whether there is such a file or folder; one in a folder that is closed to us is as good as gone."""
    with suppress(PermissionError):
        return path.exists()
    return False


def _replace(connection: sqlite3.Connection, table: str, column: str, old: str, new: str) -> None:
    """Replace the beginning of the places in a column."""
    connection.execute(
        f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} = ? OR substr({column}, 1, ?) = ?",
        (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
    )
