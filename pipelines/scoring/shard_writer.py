"""Gathers scored chunks, and writes each shard when all of its chunks have arrived."""

from __future__ import annotations

from pipelines.library.ledger import Ledger
from pipelines.library.out_folder import OutFolder
from pipelines.library.photo import Photo
from pipelines.library.walk import Library
from pipelines.scoring.chunks import Chunk
from pipelines.scoring.scorer import ScoredPhoto

LOST = {"unreadable", "unreachable", "not_a_file"}  # reasons of photos that may have vanished with their source


class ShardWriter:
    """Writes maps and shards; only one thread at a time may use it.

    Attributes:
        failed: number of failed photos that have arrived.
        unfinished: incomplete shards, with the chunks that have arrived, by their start.
    """

    def __init__(self, library: Library, ledger: Ledger, folder: OutFolder):
        self._library, self._ledger, self._folder = library, ledger, folder
        self.failed = 0
        self.unfinished: dict[int, dict[int, list[ScoredPhoto]]] = {}
        self._sizes: dict[int, int] = {}

    def begin(self, numbers: list[int]) -> dict[int, list[Photo]]:
        """Begin shards, and return the photos of each by its number."""
        shards = {number: self._ledger.photos(number) for number in numbers}
        self._sizes = {number: len(photos) for number, photos in shards.items()}
        self.unfinished = {number: {} for number in shards}
        return shards

    def add(self, chunk: Chunk, photos: list[ScoredPhoto]) -> None:
        """Keep a chunk; if its shard is complete, write the shard in the order of its photos.

        Raises:
            UserError: a file cannot be written, or the library has vanished.
        """
        parts = self.unfinished[chunk.shard]
        parts[chunk.start] = photos
        self.failed += sum(photo.row.status == "failed" for photo in photos)
        if sum(map(len, parts.values())) == self._sizes[chunk.shard]:
            del self.unfinished[chunk.shard]
            self._write(chunk.shard, [photo for start in sorted(parts) for photo in parts[start]])

    def _write(self, number: int, photos: list[ScoredPhoto]) -> None:
        """Write the maps first, then the shard: a shard counts as done only when all of it is there."""
        rows = [photo.row for photo in photos]
        lost = {row.path for row in rows if row.reason in LOST}
        if lost:  # single photos may be gone, but if their whole source is, that is not their failure
            self._library.check(lost, (row.path for row in rows if row.path not in lost))
        for photo in photos:
            if photo.png and photo.row.map:
                with self._folder.writing("maps", photo.row.map) as temporary:
                    temporary.write_bytes(photo.png)
        self._ledger.commit(number, rows)
