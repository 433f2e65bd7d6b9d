"""Reads photos from a file that names or contains them: a list of paths, or a table of paths or of image bytes.

If a table of paths also has the columns `size` (bytes) and `mtime` (nanoseconds), these are used, and files at an
address need not be asked for them one by one. A Parquet table sorted by path is read piece by piece, however long it
is; any other table is sorted in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from pipelines.library.held_images import IMAGES, image_column
from pipelines.library.photo import Photo, PhotoName, named_photo
from pipelines.storage.addresses import Addresses, as_local, without_secrets
from r2mrf.errors import UserError, one_line
from r2mrf.imaging import images
from r2mrf.system.address import PATTERN, Address, is_address, redacted

SUFFIXES = {".txt", ".csv", ".parquet"}
# names of columns of paths, in lower case without _ and spaces; the first one that a table has is taken
PATHS = ("path", "filename", "filepath", "sourcefile", "fullpath", "imagepath", "file", "uri", "url", "image")
FACTS = ("size", "mtime")  # optional columns; they make it unnecessary to look at each file


def photos(source: str, addresses: Addresses) -> Iterator[Photo]:
    """Yield the photos that a file names or contains; named ones in the order of their paths, each once.

    Raises:
        UserError: the file cannot be read, or has no suitable column.
    """
    name = source if is_address(source) else os.path.abspath(source)  # noqa: PTH100
    suffix = PurePosixPath(without_secrets(name)).suffix.lower()
    try:
        if suffix == ".parquet":
            yield from _parquet(name, addresses)
            return
        if suffix == ".txt":
            data = addresses.read(name)
            if b"\0" in data:
                raise UserError(
                    f"{without_secrets(source)}: not a list of paths, or in UTF-16: save it as UTF-8, one path a line"
                )
            named = [_resolve(os.fsdecode(line), name) for line in _lines(data)]
            table = pa.table({"path": pa.array([os.fsencode(path) for path in named], pa.large_binary())})
        else:
            table = _named(_csv(addresses.open(name)), name)
    except images.ImageError as error:
        raise UserError(f"{without_secrets(source)}: not a usable list of paths: {error.detail}") from None
    except (OSError, UnicodeError, pa.ArrowException) as error:  # UnicodeError: the source's own name is not UTF-8
        raise UserError(
            f"{without_secrets(source)}: not a usable table: {redacted(one_line(error, 2000))[:200]}"
        ) from None
    yield from _each([_sorted(table)])


def _csv(file: pa.NativeFile) -> pa.Table:
    """Read a CSV file whose paths stay as they are, even if all of them look like numbers or dates."""
    content = file.read_buffer()
    with pyarrow.csv.open_csv(pa.BufferReader(content)) as reader:
        texts = {column: pa.string() for column in reader.schema.names if _plain(column) in PATHS}
    return pyarrow.csv.read_csv(
        pa.BufferReader(content), convert_options=pyarrow.csv.ConvertOptions(column_types=texts)
    )


def _parquet(name: str, addresses: Addresses) -> Iterator[Photo]:
    with pq.ParquetFile(addresses.open(name)) as file:
        _check_columns(file.schema_arrow.names, name)
        if image_column(file.schema_arrow):
            made = addresses.facts(name).mtime_ns
            for row in range(file.metadata.num_rows):
                yield Photo.of(PhotoName.of(name, row), None, made)
            return
        there = file.schema_arrow.names
        wanted = [_path_column(there, name), *(column for column in FACTS if column in there)]
        if all(_in_order(_pieces(file, wanted[:1], name))):
            yield from _each(_pieces(file, wanted, name))
        else:
            yield from _each([_sorted(_named(file.read(columns=wanted), name))])


def _pieces(file: pq.ParquetFile, columns: list[str], name: str) -> Iterator[pa.Table]:
    return (_named(pa.Table.from_batches([batch]), name) for batch in file.iter_batches(columns=columns))


def _in_order(pieces: Iterator[pa.Table]) -> Iterator[bool]:
    """Yield for each piece whether its paths are sorted and follow those of the piece before."""
    last = b""
    for piece in pieces:
        paths = piece["path"].combine_chunks()
        if len(paths):
            yield last <= paths[0].as_py() and pc.all(pc.less_equal(paths[:-1], paths[1:]), min_count=0).as_py()
            last = paths[-1].as_py()


def _named(table: pa.Table, name: str) -> pa.Table:
    """Return a table with the column path (absolute, as bytes), and with size and mtime if they exist."""
    _check_columns(table.column_names, name)
    text = table[_path_column(table.column_names, name)].cast(pa.string())
    given = pc.and_(pc.is_valid(text), pc.not_equal(text, ""))
    columns = {"path": _resolved(text.filter(given), name)}
    return pa.table(columns | {n: _whole(table, n, name).filter(given) for n in FACTS if n in table.column_names})


def _whole(table: pa.Table, column: str, name: str) -> pa.ChunkedArray:
    """Return a column of whole numbers; timestamps are converted to nanoseconds."""
    values = table[column]
    try:
        if pa.types.is_timestamp(values.type):
            values = values.cast(pa.timestamp("ns", values.type.tz))
        return values.cast(pa.int64())
    except pa.ArrowException:
        raise UserError(
            f"{without_secrets(name)}: its column {column} must contain whole numbers (`size` in bytes, `mtime` in "
            "nanoseconds since 1970): convert it, or remove it"
        ) from None


def _check_columns(columns: list[str], name: str) -> None:
    """Refuse a table in which a column that is read occurs twice."""
    for column in columns:
        if columns.count(column) > 1 and (_plain(column) in PATHS or column in {*FACTS, *IMAGES}):
            raise UserError(f"{without_secrets(name)}: it has the column {column} twice: remove or rename one")


def _path_column(columns: list[str], name: str) -> str:
    there = {_plain(column): column for column in reversed(columns)}
    found = next((there[name] for name in PATHS if name in there), None)
    if found is None:
        raise UserError(
            f"{without_secrets(name)}: none of its columns ({redacted(', '.join(columns))}) contains paths or images: "
            f"name a column of paths {PATHS[0]}, or, in a .parquet file, a column of image bytes {IMAGES[0]}"
        )
    return found


def _plain(column: str) -> str:
    return column.lower().replace("_", "").replace(" ", "")


def _resolved(paths: pa.ChunkedArray, named_by: str) -> pa.ChunkedArray | pa.Array:
    """Return the paths as bytes; relative ones are taken relative to the file that names them."""
    if pc.all(pc.match_substring_regex(paths, PATTERN)).as_py() and not _names_files(paths):
        return paths.cast(pa.large_binary())
    return pa.array([os.fsencode(_resolve(path, named_by)) for path in paths.to_pylist()], pa.large_binary())


def _names_files(paths: pa.ChunkedArray) -> bool:
    """Return whether one of the addresses is file:///PATH."""
    return pc.any(pc.match_substring_regex(paths, "(?i)^file://")).as_py()


def _sorted(table: pa.Table) -> pa.Table:
    return table.take(pc.sort_indices(table, [("path", "ascending")]))


def _each(tables: Iterable[pa.Table]) -> Iterator[Photo]:
    """Yield the photos of tables that follow each other in the order of their paths."""
    before, hidden = None, set[str]()
    for table in tables:
        for batch in table.to_batches(max_chunksize=10_000):
            names, unknown = batch.schema.names, [None] * batch.num_rows
            columns = (batch[n].to_pylist() if n in names else unknown for n in ("path", *FACTS))
            for file, size, mtime in zip(*columns, strict=True):
                if file != before and (photo := _photo(file, size, mtime)).path not in hidden:
                    yield photo
                    if photo.name.address and photo.name.address.holds_secret:  # may be signed more than once
                        hidden.add(photo.path)
                before = file


def _photo(file: bytes, size: int | None, mtime: int | None) -> Photo:
    path = os.fsdecode(file)
    if is_address(path) or None not in (size, mtime):
        return Photo.of(PhotoName(file), size, mtime)
    return named_photo(path)


def _lines(data: bytes) -> list[bytes]:
    return [line for line in data.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]


def _resolve(path: str, named_by: str) -> str:
    """Return a path or address from a file; a relative path is taken relative to that file."""
    path = as_local(path)
    if is_address(path):
        return path
    folder = (Address.parse(named_by).bare if is_address(named_by) else named_by).rpartition("/")[0]
    return f"{folder}/{path}" if is_address(named_by) else os.path.abspath(os.path.join(folder, path))  # noqa: PTH100, PTH118
