"""Shards: Parquet files of photos with their masks, which `prepare` and `augment` write and training reads.

Photos and masks stay encoded (JPEG or PNG bytes), so a shard is as small as its pictures and quick to write. The same
rows give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from r2mrf.errors import UserError
from r2mrf.system.atomic import atomic_file

# One row a photo. split: "train" | "test"; kind: what kind of scene, "photo" for real ones; mask: PNG, 255 = defocused.
PAIRS = pa.schema(
    [
        ("source_id", pa.string()),
        ("split", pa.string()),
        ("kind", pa.string()),
        ("image", pa.binary()),
        ("mask", pa.binary()),
        ("sha256", pa.string()),  # of image + mask bytes
        ("defocused", pa.float64()),  # share of the photo
        ("doubt", pa.float64()),  # share of it that is neither surely defocused nor surely in focus
        ("blur_radius", pa.float64()),  # median over what is defocused, pixels; null for photos not rendered here
    ]
)

# One row a training image. transform: JSON that replays variant 0 into this row's pixels.
VARIANTS = pa.schema(
    [
        ("source_id", pa.string()),
        ("variant", pa.int32()),
        ("image", pa.binary()),
        ("mask", pa.binary()),
        ("transform", pa.string()),
        ("sha256", pa.string()),
    ]
)

_FINGERPRINT = b"r2mrf.fingerprint"


def write(path: Path, rows: Iterable[dict], schema: pa.Schema, fingerprint: str) -> int:
    """Write a shard, completely or not at all; return its number of rows."""
    table = pa.Table.from_pylist(list(rows), schema=schema.with_metadata({_FINGERPRINT: fingerprint}))
    with atomic_file(path) as temporary:
        pq.write_table(table, temporary, compression="none", use_dictionary=False, row_group_size=64)
    return table.num_rows


def rows_written(shard: Path | pa.NativeFile, fingerprint: str) -> int | None:
    """Return the number of rows of a shard with this fingerprint; None if it is missing, damaged or has another one."""
    try:
        found = pq.read_metadata(shard)
        return found.num_rows if (found.metadata or {}).get(_FINGERPRINT) == fingerprint.encode() else None
    except (OSError, pa.ArrowInvalid):
        return None


def read(folder: Path, pattern: str = "*.parquet", columns: list[str] | None = None) -> pa.Table:
    """Read all shards of a folder in the order of their names.

    Raises:
        UserError: there are none.
    """
    paths = sorted(folder.glob(pattern))
    if not paths:
        raise UserError(f"{folder}/{pattern}: no such files; run `dvc repro` to make them")
    return pa.concat_tables([pq.read_table(path, columns=columns) for path in paths])
