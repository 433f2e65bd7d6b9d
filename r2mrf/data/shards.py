"""Shards: Parquet files of photos with masks. `prepare` and `augment` write them, and training reads them.

Photos and masks stay encoded (JPEG or PNG), so a shard is no larger than its pictures and quick to write. The same rows
always give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from r2mrf.errors import UserError
from r2mrf.system.atomic import atomic_file

# One row per photo. split: "train" | "test"; kind: the kind of scene, or "photo"; mask: PNG, 255 = defocused.
PAIRS = pa.schema(
    [
        ("source_id", pa.string()),
        ("split", pa.string()),
        ("kind", pa.string()),
        ("image", pa.binary()),
        ("mask", pa.binary()),
        ("sha256", pa.string()),  # of image + mask bytes
        ("defocused", pa.float64()),  # share of the photo that is defocused
        ("doubt", pa.float64()),  # share of the photo that is neither clearly defocused nor clearly in focus
        ("blur_radius", pa.float64()),  # median over the defocused part, pixels; null if not rendered here
    ]
)

# One row per training image. transform: JSON; replays the steps from variant 0 to this row's pixels.
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
ROW_GROUP = 64  # rows
DAMAGE = (OSError, ValueError, MemoryError, pa.ArrowException)  # raised when a file is not a valid shard


class Inspection(NamedTuple):
    """Result of an inspection. `rows`: the shard's rows, or None if it must be built anew; `damage`: what is broken.

    A missing shard, or one with another fingerprint, counts as not built rather than damaged: its `damage` is empty.
    """

    rows: int | None
    damage: str = ""


def write(path: Path, rows: Iterable[dict], schema: pa.Schema, fingerprint: str) -> int:
    """Write a shard with page checksums, completely or not at all; return its number of rows."""
    table = pa.Table.from_pylist(list(rows), schema=schema.with_metadata({_FINGERPRINT: fingerprint}))
    with atomic_file(path) as temporary:
        pq.write_table(
            table,
            temporary,
            compression="none",
            use_dictionary=False,
            row_group_size=ROW_GROUP,
            write_page_checksum=True,
        )
    return table.num_rows


def inspect(shard: Path | pa.NativeFile, fingerprint: str) -> Inspection:
    """Check a shard's fingerprint and the hash of every row."""
    try:
        with pq.ParquetFile(shard, page_checksum_verification=True) as file:
            if (file.schema_arrow.metadata or {}).get(_FINGERPRINT) != fingerprint.encode():
                return Inspection(None)
            if not any(file.schema_arrow.equals(schema) for schema in (PAIRS, VARIANTS)):
                return Inspection(None, "its columns are not those of a shard")
            rows = 0
            for batch in file.iter_batches(ROW_GROUP):
                if damage := _damaged_row(batch):
                    return Inspection(None, damage)
                rows += batch.num_rows
            if rows != file.metadata.num_rows:
                return Inspection(None, "rows are missing")
            return Inspection(rows)
    except FileNotFoundError:
        return Inspection(None)
    except DAMAGE as error:
        return Inspection(None, " ".join(str(error).split())[:200] or "it cannot be read")


def check_rows(table: pa.Table, where: Path) -> None:
    """Check photos and masks by their hashes.

    Args:
        table: with the columns source_id, image, mask and sha256.
        where: the folder that the table was read from, for the message.

    Raises:
        UserError: a photo or mask is not what was written.
    """
    for batch in table.to_batches(max_chunksize=ROW_GROUP):
        if damage := _damaged_row(batch):
            raise UserError(f"{where}: damaged ({damage}): run the stage again that makes it")


def _damaged_row(batch: pa.RecordBatch) -> str:
    for row in batch.select(["source_id", "image", "mask", "sha256"]).to_pylist():
        if hashlib.sha256((row["image"] or b"") + (row["mask"] or b"")).hexdigest() != row["sha256"]:
            return f"the photo or mask of {row['source_id']} is not what was written"
    return ""


def read(folder: Path, pattern: str = "*.parquet", columns: list[str] | None = None) -> pa.Table:
    """Read all shards of a folder in the order of their names.

    Raises:
        UserError: there are no shards, or one is damaged.
    """
    paths = sorted(folder.glob(pattern))
    if not paths:
        raise UserError(f"{folder}/{pattern}: no such files: run `dvc repro` to make them")
    return pa.concat_tables([read_shard(path, columns) for path in paths])


def read_shard(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read one shard and verify its page checksums.

    Raises:
        UserError: the shard is damaged.
    """
    try:
        return pq.read_table(path, columns=columns, page_checksum_verification=True)
    except DAMAGE as error:
        why = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: damaged ({why}): delete it, and run the stage again that makes it") from None
