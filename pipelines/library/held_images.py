"""Reads images that a Parquet file holds in a column of bytes."""

from __future__ import annotations

import functools
from bisect import bisect_right
from itertools import accumulate
from threading import Lock

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from pipelines.storage.addresses import Addresses, failure
from r2mrf.errors import one_line
from r2mrf.imaging import images
from r2mrf.system.address import Address, is_address

IMAGES = ("image", "bytes", "image_bytes", "jpg", "png")  # names of columns of image bytes; the first that exists
ROWS_READ = 16  # at a time: a row group may hold few bytes and yet thousands of copies of a large image


def image_column(schema: pa.Schema) -> str | None:
    """Return a Parquet file's column of images: bytes, or a struct with `bytes` as the datasets library writes it."""
    for name in IMAGES:
        if name in schema.names and _is_bytes(schema.field(name).type):
            return name
    return None


def image(name: str, row: int, mtime: int | None, addresses: Addresses) -> bytes:
    """Return the image in a row of a Parquet file, which is given as a path or an address.

    Args:
        mtime: time of the file; if it differs from the last call, the file is opened again.

    Raises:
        ImageError: unreadable or empty; from an address also unreachable, not_allowed or timeout.
    """
    data = addresses.read_by(name, functools.partial(_image, name, row, mtime))
    if not data:
        raise images.ImageError("empty")
    return data


def _image(name: str, row: int, mtime: int | None, addresses: Addresses) -> bytes | None:
    with _ONE_AT_A_TIME:
        try:
            return _images(name, mtime, addresses)[row]
        except Exception as error:  # the file was replaced or truncated after it was listed
            _images.cache_clear()  # so that the next row opens it again
            if is_address(name):
                raise failure(Address.parse(name), error) from None
            raise images.ImageError("unreadable", one_line(error)) from None


_ONE_AT_A_TIME = Lock()  # each file has one reader, which several threads share


@functools.lru_cache(maxsize=1)  # photos arrive file by file; a file with another time counts as another file
def _images(name: str, mtime: int | None, addresses: Addresses) -> Images:
    return Images(name, addresses)


class Images:
    """The images of a Parquet file by row, quick if they are read in order; only some rows are kept in memory."""

    def __init__(self, name: str, addresses: Addresses):
        self._file = pq.ParquetFile(addresses.open(name))
        groups = range(self._file.metadata.num_row_groups)
        self._ends = list(accumulate(self._file.metadata.row_group(group).num_rows for group in groups))
        self._column = image_column(self._file.schema_arrow)
        self._begin(0)

    def _begin(self, group: int) -> None:
        """Begin to read a row group. `_kept` are its rows from `_first` on, as far as they are kept."""
        self._group, self._first, self._kept = group, 0, pa.chunked_array([], pa.null())
        self._further = self._file.iter_batches(ROWS_READ, row_groups=[group], columns=[self._column])

    def __getitem__(self, row: int) -> bytes | None:
        group = bisect_right(self._ends, row)
        place = row - (self._ends[group - 1] if group else 0)
        if group != self._group or place < self._first:
            self._begin(group)
        while place >= self._first + len(self._kept):  # the last rows stay, for threads that are a little behind
            last = self._kept.chunks[-1:]
            self._first += len(self._kept) - sum(map(len, last))
            self._kept = pa.chunked_array([*last, next(self._further).column(0)])
        value = self._kept[place - self._first].as_py()
        return value["bytes"] if isinstance(value, dict) else value


def _is_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return "bytes" in kind.names and _is_bytes(kind.field("bytes").type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
