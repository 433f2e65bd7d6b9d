"""Made-up libraries for benchmarks: a table of addresses of photos that do not exist, and their rows."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.library.columns import Row
from pipelines.library.photo import Photo

GROUP = 1_000_000  # rows that are made up at a time
MADE_UP = {"status": "ok", "width": 4000, "height": 3000, "verdict": "partial"}
MADE_UP |= {"model": "made-up", "model_sha256": "cd" * 32}


def write_table(path: Path, rows: int, changed: int = 0) -> None:
    """Write a table of sorted addresses; the first `changed` ones have another time."""
    schema = pa.schema([("path", pa.string()), ("size", pa.int64()), ("mtime", pa.int64())])
    with pq.ParquetWriter(path, schema) as file:
        for start in range(0, rows, GROUP):
            numbers = np.arange(start, min(start + GROUP, rows))
            paths = [f"s3://archive/photos/{n // 1000:09d}/IMG_{n:011d}.jpg" for n in numbers]
            times = 1_700_000_000_000_000_000 + 1_000_000_000 * numbers + (numbers < changed)
            file.write_table(pa.table([paths, 3_000_000 + numbers, times], schema=schema))


def row_of(photo: Photo) -> Row:
    """Return a row of arbitrary numbers that takes as much space as a real one."""
    digest = hashlib.sha256(photo.file).digest()
    shares = np.frombuffer(digest, np.uint32) / 2**32
    parts = dict(zip(("blur_fraction", "focus_area", "center_blur", "confidence"), shares[2:6], strict=True))
    parts |= dict(zip(("focus_x0", "focus_y0", "focus_x1", "focus_y1"), digest[6:10], strict=True))
    parts |= {"contrast": 100 * shares[0]}
    return Row(path=photo.path, content_sha256=digest.hex(), **parts, **MADE_UP)
