"""Photos that are named, or held, by a file: a list of paths, or a table with a column of paths or of image bytes.

Of a table with a column of paths, columns `size` (bytes) and `mtime` (nanoseconds) are used if they are there;
files at an address are not asked for them one by one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from pipelines.addresses import Addresses, is_address, shown
from pipelines.photo import UNKNOWN, Photo, here, readable
from r2mrf import images
from r2mrf.errors import UserError

SUFFIXES = {".txt", ".csv", ".parquet"}
PATHS = ("path", "file_name", "filename", "file", "uri", "url", "image")  # columns of paths, the first that is there
IMAGES = ("image", "bytes", "image_bytes", "jpg", "png")  # columns of image bytes, likewise


def photos(source: str, addresses: Addresses) -> Iterator[Photo]:
    """The photos that a file names or holds; those it names in the order of their paths, each once.

    Raises:
        UserError: the file cannot be read, or has no such column.
    """
    remote = is_address(source)
    name = shown(source) if remote else os.path.abspath(source)  # noqa: PTH100
    suffix = PurePosixPath(name).suffix.lower()
    try:
        if suffix == ".parquet":
            yield from _parquet(source, name, addresses)
            return
        if suffix == ".txt":
            data = addresses.read(name) if remote else images.read_bytes(source)
            named = [_resolve(os.fsdecode(line), name) for line in _lines(data)]
            table = pa.table({"path": pa.array([os.fsencode(path) for path in named], pa.binary())})
        else:
            table = _named(pyarrow.csv.read_csv(addresses.open(source) if remote else source), name)
    except images.ImageError as error:
        raise UserError(f"{shown(source)}: no usable list of paths: {error.detail}") from None
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{shown(source)}: no usable table: {' '.join(str(error).split())[:200]}") from None
    yield from _each(table)


def image_column(schema: pa.Schema) -> str | None:
    """Column of a Parquet file that holds images: bytes, or a struct with `bytes` as the datasets library writes it."""
    for name in IMAGES:
        if name in schema.names and _is_bytes(schema.field(name).type):
            return name
    return None


def _parquet(source: str, name: str, addresses: Addresses) -> Iterator[Photo]:
    with pq.ParquetFile(addresses.open(source) if is_address(source) else source) as file:
        if image_column(file.schema_arrow):
            made = addresses.facts(source).mtime_ns if is_address(source) else os.stat(source).st_mtime_ns  # noqa: PTH116
            for row in range(file.metadata.num_rows):
                yield Photo(f"{readable(name)}#{row}", os.fsencode(name), row, UNKNOWN, made or UNKNOWN)
            return
        wanted = [column for column in (*PATHS, "size", "mtime") if column in file.schema_arrow.names]
        yield from _each(_named(file.read(columns=wanted), name))


def _named(table: pa.Table, name: str) -> pa.Table:
    """Columns path (absolute, as bytes), and size and mtime where they are there."""
    column = next((column for column in PATHS if column in table.column_names), None)
    if column is None:
        raise UserError(
            f"{name}: has the columns {', '.join(table.column_names)}, and none of paths: name it {PATHS[0]}; "
            f"or one of image bytes: name it {IMAGES[0]}, in a .parquet file"
        )
    paths = [os.fsencode(_resolve(str(path), name)) for path in table[column].to_pylist() if path]
    given = table.filter(pc.and_(pc.is_valid(table[column]), pc.not_equal(table[column].cast(pa.string()), "")))
    columns = {"path": pa.array(paths, pa.binary())}
    return pa.table(columns | {name: given[name] for name in ("size", "mtime") if name in table.column_names})


def _each(table: pa.Table) -> Iterator[Photo]:
    order = pc.sort_indices(table, [("path", "ascending")])
    before = None
    for batch in table.take(order).to_batches(max_chunksize=10_000):
        for facts in batch.to_pylist():
            if (file := facts["path"]) != before:
                yield _photo(file, facts.get("size"), facts.get("mtime"))
            before = file


def _photo(file: bytes, size: int | None, mtime: int | None) -> Photo:
    path = os.fsdecode(file)
    if is_address(path) or None not in (size, mtime):
        return Photo(readable(path), file, -1, UNKNOWN if size is None else size, UNKNOWN if mtime is None else mtime)
    return here(path)


def _is_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return "bytes" in kind.names and _is_bytes(kind.field("bytes").type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _lines(data: bytes) -> list[bytes]:
    return [line for line in data.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]


def _resolve(path: str, named_by: str) -> str:
    """A path or address in a file, meant from where that file lies."""
    if is_address(path):
        return path
    folder = named_by.rpartition("/")[0]
    return f"{folder}/{path}" if is_address(named_by) else os.path.abspath(os.path.join(folder, path))  # noqa: PTH100, PTH118
