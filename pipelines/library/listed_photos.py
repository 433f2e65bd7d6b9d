"""Photos that are listed already, found by hashes of their paths, sizes and times."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np

from pipelines.library.photo import Photo


class ListedPhotos:
    """Photos that are listed, as sorted hashes: 20 bytes each."""

    def __init__(self, name_hashes: np.ndarray, hashes: np.ndarray, numbers: np.ndarray):
        order = np.argsort(name_hashes, kind="stable")
        self._seen = np.zeros(len(order), bool)
        self._names, self._hashes, self._numbers = (a[order] for a in (name_hashes, hashes, numbers))

    def find(self, photos: list[Photo]) -> Iterator[tuple[Photo, int | None, bool]]:
        """For each photo the shard that lists its path, if one does, and whether size and time are the same."""
        if not len(self._names):
            yield from ((photo, None, False) for photo in photos)
            return
        wanted = hashes(photos)
        places = np.searchsorted(self._names, wanted[:, 0])
        places = np.minimum(places, len(self._names) - 1)  # what comes behind the last one has another name
        self._seen[places[self._names[places] == wanted[:, 0]]] = True
        listed, same = self._names[places] == wanted[:, 0], self._hashes[places] == wanted[:, 1]
        facts = zip(photos, listed.tolist(), self._numbers[places].tolist(), same.tolist(), strict=True)
        for photo, is_listed, number, is_same in facts:
            yield (photo, number, is_same) if is_listed else (photo, None, False)

    def unseen(self) -> np.ndarray:
        """Numbers of the shards with photos that `find` was never asked for."""
        return np.unique(self._numbers[~self._seen])


def hashes(photos: Iterable[Photo]) -> np.ndarray:
    """uint64 N×2: of each photo's path, and of its path, size, time and partner."""
    # -1 for what is unknown: tables that were scored before go on
    parts = [(p.path.encode(), f"{p.path}\0{_known(p.size)}\0{_known(p.mtime)}{_with(p)}".encode()) for p in photos]
    digests = b"".join(hashlib.blake2b(part, digest_size=8).digest() for pair in parts for part in pair)
    return np.frombuffer(digests, np.uint64).reshape(-1, 2)


def _with(photo: Photo) -> str:
    return f"\0{photo.partner}" if photo.partner else ""


def _known(fact: int | None) -> int:
    return -1 if fact is None else fact
