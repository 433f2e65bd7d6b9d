"""A row of the table of scores: its columns, its verdict; and the columns of a manifest. Everything that
names columns derives from here."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from r2mrf.prediction.record import DETAIL

# What is read of how a photo was taken, see `r2mrf.prediction.exif`.
TAKEN = pa.schema(
    [
        ("taken", pa.string()),
        ("camera", pa.string()),
        ("lens", pa.string()),
        ("iso", pa.int32()),
        ("shutter", pa.float64()),
        ("aperture", pa.float64()),
        ("focal_length", pa.float64()),
        ("orientation", pa.int32()),
        ("rating", pa.int32()),
    ]
)
SCORES = pa.schema(
    [
        ("path", pa.string()),
        ("status", pa.string()),  # ok | failed
        ("reason", pa.string()),  # of a failure, a key of r2mrf.imaging.images.REASONS
        ("error", pa.string()),  # REASON: sentence
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("content_sha256", pa.string()),
        ("blur_fraction", pa.float64()),
        ("focus_area", pa.float64()),
        ("focus_x0", pa.int32()),
        ("focus_y0", pa.int32()),
        ("focus_x1", pa.int32()),
        ("focus_y1", pa.int32()),
        ("center_blur", pa.float64()),
        ("confidence", pa.float64()),
        ("verdict", pa.string()),  # see r2mrf.prediction.focus.VERDICTS
        ("contrast", pa.float64()),
        ("sharpest_radius", pa.float64()),  # this and the next: if detail was asked for; see r2mrf.prediction.detail
        ("sharpest_x0", pa.int32()),
        ("sharpest_y0", pa.int32()),
        ("sharpest_x1", pa.int32()),
        ("sharpest_y1", pa.int32()),
        ("sharp_view", pa.int32()),
        ("map", pa.string()),  # file below maps/, if maps were asked for
        *TAKEN,
        ("model", pa.string()),
        ("model_sha256", pa.string()),
    ]
)
ADDED = {"reason", *TAKEN.names, *DETAIL}  # since version 0.1: tables that were scored before have no such columns

MANIFEST = pa.schema(
    [
        ("path", pa.string()),
        ("file", pa.binary()),  # null: an address with secrets, which the next run takes from its source
        ("row", pa.int64()),  # null: a file of its own
        ("size", pa.int64()),
        ("mtime", pa.int64()),
        ("name_hash", pa.uint64()),  # of the path,
        ("hash", pa.uint64()),  # and of path, size and time: by these a photo is known again
    ]
)


def completed(table: pa.Table) -> pa.Table:
    """A table of scores with all columns of `SCORES`, in their order: those of `ADDED` that are missing are null, but
    `reason`, which is taken from `error`."""
    for name in ADDED - set(table.column_names):
        table = table.append_column(SCORES.field(name), pa.nulls(len(table), SCORES.field(name).type))
    if "error" in table.column_names:
        told = pc.list_element(pc.split_pattern(table["error"], ":", max_splits=1), 0)
        table = table.set_column(table.column_names.index("reason"), "reason", pc.coalesce(table["reason"], told))
    return table.select([name for name in SCORES.names if name in table.column_names])
