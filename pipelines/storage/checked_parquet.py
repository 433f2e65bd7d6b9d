"""Parquet files in which damage is seen: pages have checksums, and the file's metadata hold a hash of every column.

Page checksums alone miss what stands between the pages: sizes, encodings, names and types.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from r2mrf.system import strict_json

HASHES = b"column_hashes"


class Damaged(ValueError):
    """A file that cannot be read, or does not hold what was written."""


def write(table: pa.Table, path: Path) -> None:
    """Write a table with its metadata.

    Raises:
        OSError: it cannot be written.
    """
    hashes = json.dumps({name: _hash(table[name]) for name in table.column_names}).encode()
    table = table.replace_schema_metadata((table.schema.metadata or {}) | {HASHES: hashes})
    pq.write_table(table, path, write_page_checksum=True)


def read(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table, or some of its columns, and check what is read. Files of version 0.1 hold no hashes.

    Raises:
        Damaged: it is missing, damaged, or lacks a column that is asked for.
    """
    try:
        table = pq.read_table(path, columns=None if columns is None else [*columns], page_checksum_verification=True)
        _check(table, columns)
    except (OSError, ValueError, KeyError, TypeError, MemoryError, OverflowError, pa.ArrowException) as error:
        raise Damaged(" ".join(str(error).split())[:200] or type(error).__name__) from None
    return table


def read_facts(path: Path) -> pq.FileMetaData:
    """Read how many rows a table has, and its metadata; nothing is checked against them.

    Raises:
        Damaged: the end of the file, where they stand, is missing or damaged.
    """
    try:
        return pq.read_metadata(path)
    except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
        raise Damaged(" ".join(str(error).split())[:200]) from None


def _check(table: pa.Table, columns: Sequence[str] | None) -> None:
    if missing := set(columns or ()) - set(table.column_names):
        raise Damaged(f"it has no column {', '.join(sorted(missing))}")
    written = (table.schema.metadata or {}).get(HASHES)
    if written is None:
        return
    hashes = strict_json.parse_object(written)
    if columns is None and hashes.keys() != set(table.column_names):
        raise Damaged("it has other columns than were written")
    for name in table.column_names:
        if hashes.get(name) != _hash(table[name]):
            raise Damaged(f"its column {name} is not what was written")


def _hash(column: pa.ChunkedArray) -> str:
    return hashlib.sha256(repr(column.to_pylist()).encode("utf-8", "surrogatepass")).hexdigest()[:16]
