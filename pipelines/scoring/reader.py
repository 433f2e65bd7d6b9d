"""Read photos: fetch, decode and shrink them, in a child process that may die of a bad file."""

from __future__ import annotations

import functools
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest

from pipelines.library import held_images
from pipelines.library.photo import Photo
from pipelines.scoring.job import Job
from pipelines.storage.addresses import Addresses
from r2mrf.config import Score
from r2mrf.imaging import images
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.prediction import record
from r2mrf.system.address import is_address
from r2mrf.system.sandbox import Guard

FETCHERS = 8  # photos fetched from addresses at a time, by one reader; or fetched and not yet decoded
BYTES_A_PIXEL = 16  # that decoding may take at most, with all copies


@dataclass(frozen=True)
class ReadPhoto:
    """A photo that was read: its shrunk pixels, or the reason why there are none."""

    photo: Photo
    shrunk: record.Shrunk | None
    error: images.ImageError | None


def read(photos: list[Photo], job: Job, guard: Guard | None = None) -> list[ReadPhoto]:
    """Fetch, decode and shrink a chunk of photos; what cannot be read comes back with its reason.

    Args:
        guard: `new_guard`, of the thread that calls; None: the one of this process.
    """
    guard = guard or guard_for(job.preprocess, job.options)
    ahead = 1 if any(photo.row is not None for photo in photos) else FETCHERS  # a file's row groups follow each other
    with ThreadPoolExecutor(ahead) as pool:
        fetch = functools.partial(_source, addresses=job.addresses)
        coming = deque(pool.submit(fetch, photo) for photo in photos[:ahead])
        seen = []
        for photo, further in zip_longest(photos, photos[ahead:]):
            seen.append(_read_one(photo, coming.popleft().result(), guard))
            if further is not None:  # not before: each photo that is fetched and not yet decoded is in memory
                coming.append(pool.submit(fetch, further))
    return seen


def _source(photo: Photo, addresses: Addresses) -> str | bytes | images.ImageError:
    """Source for the guarded process: a path on this machine, or the bytes of a photo from elsewhere."""
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
    """Return the guarded process of this one: it serves all tasks that come here."""
    return _guard(preprocess, options)


def new_guard(job: Job) -> Guard:
    """Return a guarded process, which one thread may use; to be closed."""
    return _guard(job.preprocess, job.options)


def _guard(preprocess: Preprocess, options: Score) -> Guard:
    memory = (1 << 30) + BYTES_A_PIXEL * options.max_pixels
    work = functools.partial(
        record.read_photo, preprocess=preprocess, max_pixels=options.max_pixels, detail=options.detail
    )
    return Guard(work, options.seconds, memory)
