"""Chunks: runs of consecutive photos of a shard that are read and scored together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from pipelines.library.photo import Photo

if TYPE_CHECKING:
    from pipelines.scoring.scorer import ScoredPhoto

CHUNK = 32  # photos in a chunk: 10 MB when shrunk to 320×320


class Chunk(NamedTuple):
    """Consecutive photos of a shard.

    `place`: position of the first one in the shard. It is a multiple of `Score.batch`, so that the same photos always
    form the same batches and give the same numbers, however the chunks are cut.
    """

    shard: int
    place: int
    photos: list[Photo]


Take = Callable[[Chunk, "list[ScoredPhoto]"], object]  # called with each finished chunk


def whole(batch: int) -> int:
    """Return the number of photos in a full chunk: a multiple of `batch`."""
    return batch * max(CHUNK // batch, 1)


def cut(shards: dict[int, list[Photo]], batch: int) -> deque[Chunk]:
    """Cut shards into full chunks; the last one of each shard may be smaller."""
    size = whole(batch)
    return deque(
        Chunk(number, place, photos[place : place + size])
        for number, photos in shards.items()
        for place in range(0, len(photos), size)
    )


def take(waiting: deque[Chunk], most: int) -> Chunk:
    """Remove and return the first chunk, or its first `most` photos (a multiple of the batch) if it has more."""
    chunk = waiting.popleft()
    if len(chunk.photos) > most:
        waiting.appendleft(Chunk(chunk.shard, chunk.place + most, chunk.photos[most:]))
    return chunk._replace(photos=chunk.photos[:most])


def photos_in(waiting: deque[Chunk]) -> int:
    """Return the number of photos in all chunks."""
    return sum(len(chunk.photos) for chunk in waiting)
