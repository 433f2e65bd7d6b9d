"""Photos are read: fetched, decoded and shrunk, each in a process that may die of it."""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow.parquet as pq

from pipelines import tables
from pipelines.addresses import Addresses, is_address
from pipelines.job import Job
from pipelines.photo import Photo
from r2mrf import images, scoring
from r2mrf.config import Score
from r2mrf.guard import Guard, Lost
from r2mrf.preprocess import Preprocess

FETCHERS = 8  # photos fetched from addresses at a time, by one reader
BYTES_A_PIXEL = 16  # that decoding may take at most, with all copies


@dataclass(frozen=True)
class Seen:
    """A photo that was read: shrunk, or not, and why not."""

    photo: Photo
    shrunk: scoring.Shrunk | None
    error: str | None


def read(photos: list[Photo], job: Job) -> list[Seen]:
    """Fetch, decode and shrink a chunk of photos; what cannot be read comes back with its reason."""
    guard = guard_for(job.preprocess, job.options)
    with ThreadPoolExecutor(FETCHERS) as pool:
        sources = pool.map(functools.partial(_source, addresses=job.addresses), photos)
        return [_seen(photo, source, guard) for photo, source in zip(photos, sources, strict=True)]


def _source(photo: Photo, addresses: Addresses) -> str | bytes | images.ImageError:
    """What the guarded process opens: a path of this machine, or the bytes, where they come from elsewhere."""
    name = os.fsdecode(photo.file)
    try:
        if photo.row >= 0:
            return _held(photo.row, name, addresses)
        return addresses.read(name) if is_address(name) else name
    except images.ImageError as error:
        return error


def _held(row: int, name: str, addresses: Addresses) -> bytes:
    """Image of a row of a Parquet file."""
    try:
        with pq.ParquetFile(addresses.open(name) if is_address(name) else name) as file:
            column, group = tables.image_column(file.schema_arrow), 0
            while row >= (rows := file.metadata.row_group(group).num_rows):
                row, group = row - rows, group + 1
            value = file.read_row_group(group, columns=[column])[column][row].as_py()
    except Exception as error:  # the file was replaced or cut since it was listed
        raise images.ImageError("unreadable", " ".join(str(error).split())[:200]) from None
    data = value["bytes"] if isinstance(value, dict) else value
    if not data:
        raise images.ImageError("empty")
    return data


def _seen(photo: Photo, source: str | bytes | images.ImageError, guard: Guard) -> Seen:
    try:
        if isinstance(source, images.ImageError):
            raise source
        return Seen(photo, guard(source), None)
    except images.ImageError as error:
        return Seen(photo, None, str(error))
    except MemoryError:
        return Seen(photo, None, str(images.ImageError("too_large", "does not fit into memory")))
    except Lost as error:
        return Seen(photo, None, str(images.ImageError(error.reason, str(error))))


@functools.cache
def guard_for(preprocess: Preprocess, options: Score) -> Guard:
    """The guarded process of this one: it serves all tasks that come here."""
    memory = (1 << 30) + BYTES_A_PIXEL * options.max_pixels
    work = functools.partial(scoring.look, preprocess=preprocess, max_pixels=options.max_pixels)
    return Guard(work, options.seconds, memory)
