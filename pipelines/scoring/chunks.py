"""Chunks: runs of photos of a shard, the pieces of work that are read and scored together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from pipelines.library.photo import Photo

if TYPE_CHECKING:
    from pipelines.scoring.scorer import ScoredPhoto

CHUNK = 32  # photos: 10 MB when they are shrunk to 320×320


class Chunk(NamedTuple):
    """Photos of a shard that follow each other.

    `place`: of the first of them in its shard; a multiple of `Score.batch`, so that the same photos always make the
    same batches and the same numbers, however the chunks are cut.
    """

    shard: int
    place: int
    photos: list[Photo]


Take = Callable[[Chunk, "list[ScoredPhoto]"], object]  # is called with each chunk that is done


def whole(batch: int) -> int:
    """Return the number of photos in a chunk: a multiple of `batch`."""
    return batch * max(CHUNK // batch, 1)


def cut(shards: dict[int, list[Photo]], batch: int) -> deque[Chunk]:
    """Cut shards into whole chunks; the last of each shard may be smaller."""
    size = whole(batch)
    return deque(
        Chunk(number, place, photos[place : place + size])
        for number, photos in shards.items()
        for place in range(0, len(photos), size)
    )


def take(waiting: deque[Chunk], most: int) -> Chunk:
    """Take the first chunk off, or its first photos if it has more than `most`, a multiple of the batch."""
    chunk = waiting.popleft()
    if len(chunk.photos) > most:
        waiting.appendleft(Chunk(chunk.shard, chunk.place + most, chunk.photos[most:]))
    return chunk._replace(photos=chunk.photos[:most])


def photos_in(waiting: deque[Chunk]) -> int:
    """Return the number of photos."""
    return sum(len(chunk.photos) for chunk in waiting)
