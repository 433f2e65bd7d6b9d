"""The columns of a shard's table of scores, and of its manifest."""

from __future__ import annotations

import pyarrow as pa

SCORES = pa.schema(
    [
        ("path", pa.string()),
        ("status", pa.string()),  # ok | failed
        ("error", pa.string()),  # REASON: sentence; see r2mrf.images.REASONS
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
        ("model", pa.string()),
        ("model_sha256", pa.string()),
    ]
)
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
