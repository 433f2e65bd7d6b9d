"""Parquet files whose damage is detected: pages have checksums, and the metadata holds a hash of every column.

Page checksums alone miss damage between the pages: to sizes, encodings, names and types.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from r2mrf.errors import one_line
from r2mrf.system import strict_json

HASHES = b"column_hashes"


class Damaged(ValueError):
    """A file that cannot be read, or does not contain what was written."""


def write(table: pa.Table, path: Path) -> None:
    """Write a table with its metadata and the hashes of its columns.

    Raises:
        OSError: the file cannot be written.
    """
    hashes = json.dumps({name: _hash(table[name]) for name in table.column_names}).encode()
    table = table.replace_schema_metadata((table.schema.metadata or {}) | {HASHES: hashes})
    pq.write_table(table, path, write_page_checksum=True)


def read(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table, or some of its columns, and verify what is read. Files of version 0.1 have no hashes.

    Raises:
        Damaged: the file is missing or damaged, or lacks one of the columns.
    """
    try:
        table = pq.read_table(path, columns=None if columns is None else [*columns], page_checksum_verification=True)
        _check(table, columns)
    except (OSError, ValueError, KeyError, TypeError, MemoryError, OverflowError, pa.ArrowException) as error:
        raise Damaged(one_line(error) or type(error).__name__) from None
    return table


def read_facts(path: Path) -> pq.FileMetaData:
    """Read a table's number of rows and metadata, without verifying the data.

    Raises:
        Damaged: the end of the file, which holds them, is missing or damaged.
    """
    try:
        return pq.read_metadata(path)
    except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
        raise Damaged(one_line(error)) from None


def _check(table: pa.Table, columns: Sequence[str] | None) -> None:
    if missing := set(columns or ()) - set(table.column_names):
        raise Damaged(f"it lacks the column {', '.join(sorted(missing))}")
    written = (table.schema.metadata or {}).get(HASHES)
    if written is None:
        return
    hashes = strict_json.parse_object(written)
    if columns is None and hashes.keys() != set(table.column_names):
        raise Damaged("its columns are not those that were written")
    for name in table.column_names:
        if hashes.get(name) != _hash(table[name]):
            raise Damaged(f"its column {name} is not what was written")


def _hash(column: pa.ChunkedArray) -> str:
    return hashlib.sha256(repr(column.to_pylist()).encode("utf-8", "surrogatepass")).hexdigest()[:16]
