"""A row of the table of scores, and the columns of a manifest.

The columns of the table are the fields of `Row`, and all code that names columns takes them from there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from r2mrf.prediction.exif import Taken
from r2mrf.prediction.focus import Thresholds
from r2mrf.prediction.record import DETAIL


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The row of one photo. Its fields are the columns of the table, in their order.

    For a photo that failed, all fields are None except `path`, `status`, `reason`, `error` and the model.
    """

    path: str  # see photo.PhotoName
    status: str  # ok | failed
    reason: str | None = None  # of a failure: a key of r2mrf.imaging.images.REASONS
    error: str | None = None  # REASON: sentence
    width: int | None = None
    height: int | None = None
    content_sha256: str | None = None
    blur_fraction: float | None = None  # this and the next seven: see r2mrf.prediction.focus.Focus
    focus_area: float | None = None
    focus_x0: int | None = None
    focus_y0: int | None = None
    focus_x1: int | None = None
    focus_y1: int | None = None
    center_blur: float | None = None
    confidence: float | None = None
    verdict: str | None = None  # one of r2mrf.prediction.focus.VERDICTS
    contrast: float | None = None  # see r2mrf.prediction.focus.local_contrast
    sharpest_radius: float | None = None  # this and the next five only with --detail
    sharpest_x0: int | None = None
    sharpest_y0: int | None = None
    sharpest_x1: int | None = None
    sharpest_y1: int | None = None
    sharp_view: int | None = None
    map: str | None = None  # file below maps/; only with --maps
    partner: str | None = None  # path of the raw file that is one photo with this one
    taken: str | None = None  # this and the next eight: see r2mrf.prediction.exif.Taken
    camera: str | None = None
    lens: str | None = None
    iso: int | None = None
    shutter: float | None = None
    aperture: float | None = None
    focal_length: float | None = None
    orientation: int | None = None
    rating: int | None = None
    model: str
    model_sha256: str


AnyRow = TypeVar("AnyRow", bound=Row)
KINDS = {"str": pa.string(), "int": pa.int32(), "float": pa.float64()}  # by the type of the field
SCORES = pa.schema([(field.name, KINDS[str(field.type).removesuffix(" | None")]) for field in fields(Row)])

# Columns that tables of version 0.1 do not have.
ADDED = {"reason", "partner", *(field.name for field in fields(Taken)), *DETAIL}

MANIFEST = pa.schema(
    [
        ("path", pa.string()),
        ("file", pa.binary()),  # null: an address with secrets; the next run gets it from its source again
        ("row", pa.int64()),  # null: the photo is a file of its own
        ("size", pa.int64()),
        ("mtime", pa.int64()),
        ("name_hash", pa.uint64()),  # hash of the path,
        ("hash", pa.uint64()),  # hash of path, size, time and partner: a photo is recognised by these two
        ("partner", pa.string()),  # null: none, also in manifests of version 0.1, which lack the column
    ]
)


def table_of(rows: Iterable[Row]) -> pa.Table:
    """Return the rows as a table with the columns of `SCORES`."""
    rows = list(rows)
    return pa.table({name: [getattr(row, name) for row in rows] for name in SCORES.names}, schema=SCORES)


def rows_of(table: pa.Table, kind: type[AnyRow]) -> list[AnyRow]:
    """Return the rows of a `completed` table, each as a `kind`."""
    columns = (table[name].to_pylist() for name in SCORES.names)
    return [kind(**dict(zip(SCORES.names, values, strict=True))) for values in zip(*columns, strict=True)]


def completed(table: pa.Table) -> pa.Table:
    """Return a table of scores with all columns of `SCORES`, in their order.

    Missing columns of `ADDED` are filled with null, except `reason`, which is taken from `error`.

    Raises:
        KeyError: another column is missing.
    """
    for name in ADDED - set(table.column_names):
        table = table.append_column(SCORES.field(name), pa.nulls(len(table), SCORES.field(name).type))
    reasons = pc.coalesce(table["reason"], reasons_of(table["error"]))
    table = table.set_column(table.column_names.index("reason"), "reason", reasons)
    return table.select(SCORES.names)


def reasons_of(errors: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the reason with which each error begins: tables of version 0.1 have errors but no reasons."""
    return pc.list_element(pc.split_pattern(errors, ":", max_splits=1), 0)


def judged(table: pa.Table, thresholds: Thresholds) -> pa.Table:
    """Return a table of scores with the verdicts by these thresholds."""
    rows = table.to_pylist()
    verdicts = [thresholds.verdict_of(row) if row["status"] == "ok" else None for row in rows]
    return table.set_column(SCORES.get_field_index("verdict"), "verdict", pa.array(verdicts, pa.string()))
