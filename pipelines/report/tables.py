"""Writes a scored library as CSV, for people and their programs, and for exiftool."""

from __future__ import annotations

import csv
from operator import attrgetter
from pathlib import Path

from pipelines.library.columns import SCORES
from pipelines.library.photo import PhotoName, from_text
from pipelines.report.labels import labels_of
from pipelines.report.scored_folder import ReportRow
from r2mrf.system.address import is_address
from r2mrf.system.atomic import atomic_file

COLUMNS = (*SCORES.names, "burst", "burst_size", "sharpest")


def write_csv(rows: list[ReportRow], path: Path) -> None:
    """Write all rows and columns below a header line, in UTF-8 with the line ends of RFC 4180.

    Raises:
        UserError: the file cannot be written.
    """
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(map(attrgetter(*COLUMNS), rows))


def write_exiftool(rows: list[ReportRow], path: Path, fields: tuple[str, ...] = ("keywords",)) -> None:
    """Write a table with which exiftool labels photos or sidecars: `exiftool -csv+=FILE -sep ", " …`.

    It has one row per scored photo on this machine; an empty cell changes nothing.

    Args:
        fields: some of `labels.FIELDS`.

    Raises:
        UserError: the file cannot be written.
    """
    labels = {row.path: labels_of(row, fields) for row in rows if row.status == "ok" and is_local(row.path)}
    names = list(dict.fromkeys(name for found in labels.values() for name in (*found.simple, *found.lists)))
    with (
        atomic_file(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["SourceFile", *("XMP:" + _tag(name) for name in names)])
        for photo, found in labels.items():
            words = found.simple | {name: ", ".join(list_) for name, list_ in found.lists.items()}
            writer.writerow([from_text(photo), *(words.get(name, "") for name in names)])


def is_local(path: str) -> bool:
    """Return whether a row's photo is a file on this machine, and neither at an address nor inside a table."""
    return not is_address(path) and PhotoName.parse(path).row is None


def _tag(name: str) -> str:
    """Return exiftool's name for a property, which is capitalised."""
    local = name.partition(":")[2]
    return local[0].upper() + local[1:]
