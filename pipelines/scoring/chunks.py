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

    `start`: position of the first one in the shard. It is a multiple of `Score.batch`, so that the same photos always
    form the same batches and give the same numbers, however the shards are divided.
    """

    shard: int
    start: int
    photos: list[Photo]


Deliver = Callable[[Chunk, "list[ScoredPhoto]"], object]  # called with each finished chunk


def chunk_size(batch: int) -> int:
    """Return the number of photos in a full chunk: a multiple of `batch`."""
    return batch * max(CHUNK // batch, 1)


def chunks_of(shards: dict[int, list[Photo]], batch: int) -> deque[Chunk]:
    """Divide shards into full chunks; the last one of each shard may be smaller."""
    size = chunk_size(batch)
    return deque(
        Chunk(number, start, photos[start : start + size])
        for number, photos in shards.items()
        for start in range(0, len(photos), size)
    )


def next_chunk(waiting: deque[Chunk], most: int) -> Chunk:
    """Remove and return the first chunk, or its first `most` photos (a multiple of the batch) if it has more."""
    chunk = waiting.popleft()
    if len(chunk.photos) > most:
        waiting.appendleft(Chunk(chunk.shard, chunk.start + most, chunk.photos[most:]))
    return chunk._replace(photos=chunk.photos[:most])


def photos_in(waiting: deque[Chunk]) -> int:
    """Return the number of photos in all chunks."""
    return sum(len(chunk.photos) for chunk in waiting)
