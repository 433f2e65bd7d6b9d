"""The columns of the table of scores and of a manifest. All code that names columns takes them from here."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from r2mrf.prediction.record import DETAIL

# How a photo was taken, as far as its file says; see `r2mrf.prediction.exif`.
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
        ("reason", pa.string()),  # of a failure: a key of r2mrf.imaging.images.REASONS
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
        ("sharpest_radius", pa.float64()),  # this and the next five only with --detail; see r2mrf.prediction.detail
        ("sharpest_x0", pa.int32()),
        ("sharpest_y0", pa.int32()),
        ("sharpest_x1", pa.int32()),
        ("sharpest_y1", pa.int32()),
        ("sharp_view", pa.int32()),
        ("map", pa.string()),  # file below maps/; only with --maps
        *TAKEN,
        ("model", pa.string()),
        ("model_sha256", pa.string()),
    ]
)
ADDED = {"reason", *TAKEN.names, *DETAIL}  # columns that tables written by version 0.1 do not have

MANIFEST = pa.schema(
    [
        ("path", pa.string()),
        ("file", pa.binary()),  # null: an address with secrets; the next run gets it from its source again
        ("row", pa.int64()),  # null: the photo is a file of its own
        ("size", pa.int64()),
        ("mtime", pa.int64()),
        ("name_hash", pa.uint64()),  # hash of the path,
        ("hash", pa.uint64()),  # hash of path, size and time: a photo is recognised by these two
    ]
)


def completed(table: pa.Table) -> pa.Table:
    """Return a table of scores with all columns of `SCORES`, in their order.

    Missing columns of `ADDED` are filled with null, except `reason`, which is taken from `error`.
    """
    for name in ADDED - set(table.column_names):
        table = table.append_column(SCORES.field(name), pa.nulls(len(table), SCORES.field(name).type))
    if "error" in table.column_names:
        told = pc.list_element(pc.split_pattern(table["error"], ":", max_splits=1), 0)
        table = table.set_column(table.column_names.index("reason"), "reason", pc.coalesce(table["reason"], told))
    return table.select([name for name in SCORES.names if name in table.column_names])
