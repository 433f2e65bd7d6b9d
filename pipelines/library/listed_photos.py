"""Finds photos that are already listed, by hashes of their paths, sizes and times."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np

from pipelines.library.photo import Photo


class ListedPhotos:
    """The photos that are already listed, as sorted hashes: 20 bytes each."""

    def __init__(self, name_hashes: np.ndarray, hashes: np.ndarray, numbers: np.ndarray):
        order = np.argsort(name_hashes, kind="stable")
        self._seen = np.zeros(len(order), bool)
        self._names, self._hashes, self._numbers = (a[order] for a in (name_hashes, hashes, numbers))

    def find(self, photos: list[Photo]) -> Iterator[tuple[Photo, int | None, bool]]:
        """Yield each photo, the number of the shard that lists its path (or None), and whether size and time match."""
        if not len(self._names):
            yield from ((photo, None, False) for photo in photos)
            return
        wanted = hashes(photos)
        positions = np.searchsorted(self._names, wanted[:, 0])
        # a hash after the last one is clamped; it will not match
        positions = np.minimum(positions, len(self._names) - 1)
        self._seen[positions[self._names[positions] == wanted[:, 0]]] = True
        listed, same = self._names[positions] == wanted[:, 0], self._hashes[positions] == wanted[:, 1]
        facts = zip(photos, listed.tolist(), self._numbers[positions].tolist(), same.tolist(), strict=True)
        for photo, is_listed, number, is_same in facts:
            yield (photo, number, is_same) if is_listed else (photo, None, False)

    def unseen(self) -> np.ndarray:
        """Return the numbers of the shards that contain photos which `find` has not been asked for."""
        return np.unique(self._numbers[~self._seen])


def hashes(photos: Iterable[Photo]) -> np.ndarray:
    """Return uint64 N×2: the hash of each photo's path, and that of its path, size, time and partner."""
    # -1 stands for unknown values, as in version 0.1, so that its tables can be continued
    parts = [(p.path.encode(), f"{p.path}\0{_known(p.size)}\0{_known(p.mtime)}{_with(p)}".encode()) for p in photos]
    digests = b"".join(hashlib.blake2b(part, digest_size=8).digest() for pair in parts for part in pair)
    return np.frombuffer(digests, np.uint64).reshape(-1, 2)


def _with(photo: Photo) -> str:
    return f"\0{photo.partner}" if photo.partner else ""


def _known(fact: int | None) -> int:
    return -1 if fact is None else fact
