"""Reads photos: fetches, decodes and shrinks them, in a child process that a bad file may kill."""

from __future__ import annotations

import functools
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest

from pipelines.library import held_images
from pipelines.library.photo import Photo
from pipelines.scoring.job import ScoringJob
from pipelines.storage.addresses import Addresses
from r2mrf.config import Score
from r2mrf.imaging import images
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.prediction import record
from r2mrf.system.address import is_address
from r2mrf.system.sandbox import Guard

FETCHERS = 8  # most photos per reader that are being fetched, or fetched but not yet decoded
BYTES_A_PIXEL = 16  # most memory that decoding may take, with all copies


@dataclass(frozen=True)
class ReadPhoto:
    """A photo that was read: its shrunk pixels, or the error that prevented it."""

    photo: Photo
    shrunk: record.Shrunk | None
    error: images.ImageError | None


def read(photos: list[Photo], job: ScoringJob, guard: Guard | None = None) -> list[ReadPhoto]:
    """Fetch, decode and shrink a chunk of photos; one that cannot be read is returned with its error.

    Args:
        guard: the calling thread's own, from `new_guard`; None: the one of this process.
    """
    guard = guard or guard_for(job.preprocess, job.options)
    ahead = 1 if any(photo.row is not None for photo in photos) else FETCHERS  # row groups of a file are read in order
    with ThreadPoolExecutor(ahead) as pool:
        fetch = functools.partial(_source, addresses=job.addresses)
        coming = deque(pool.submit(fetch, photo) for photo in photos[:ahead])
        seen = []
        for photo, further in zip_longest(photos, photos[ahead:]):
            seen.append(_read_one(photo, coming.popleft().result(), guard))
            if further is not None:  # only now, because every photo that is fetched but not decoded takes memory
                coming.append(pool.submit(fetch, further))
    return seen


def _source(photo: Photo, addresses: Addresses) -> str | bytes | images.ImageError:
    """Return what the guarded process reads: a local path, or the bytes of a photo from elsewhere."""
    name = os.fsdecode(photo.file)
    try:
        if photo.row is not None:
            return held_images.image(name, photo.row, photo.mtime, addresses)
        return addresses.read(name) if is_address(name) else name
    except images.ImageError as error:
        return error


def _read_one(photo: Photo, source: str | bytes | images.ImageError, guard: Guard) -> ReadPhoto:
    try:
        if isinstance(source, images.ImageError):
            raise source
        return ReadPhoto(photo, record.read_guarded(guard, source), None)
    except images.ImageError as error:
        return ReadPhoto(photo, None, error)


@functools.cache
def guard_for(preprocess: Preprocess, options: Score) -> Guard:
    """Return this process's guarded child, which serves all tasks that run in this process."""
    return _guard(preprocess, options)


def new_guard(job: ScoringJob) -> Guard:
    """Return a guarded child for a single thread, which must close it."""
    return _guard(job.preprocess, job.options)


def _guard(preprocess: Preprocess, options: Score) -> Guard:
    memory = (1 << 30) + BYTES_A_PIXEL * options.max_pixels
    work = functools.partial(
        record.read_photo, preprocess=preprocess, max_pixels=options.max_pixels, detail=options.detail
    )
    return Guard(work, options.seconds, memory)
