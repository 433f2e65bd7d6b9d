"""Lists new photos of a library and puts them on the ledger shard by shard, while others are already being scored."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

from pipelines.library.ledger import Ledger
from pipelines.library.listed_photos import ListedPhotos
from pipelines.library.photo import Photo
from pipelines.library.prune import prune
from pipelines.library.walk import Library
from r2mrf.config import Score
from r2mrf.imaging import images

AT_A_TIME = 4096  # photos looked up in the ledger at a time
SOON = 2.0  # seconds after which the shards listed so far are handed out
MOST = 1000  # shards in a wave
PATIENCE = 5.0  # seconds to wait for the thread after an interruption; an unreachable folder may block it


class Listing:
    """Lists a library in a thread of its own.

    for numbers in Listing(library, ledger, options).waves(): ...

    Attributes:
        new: photos listed so far that were not on the ledger, have changed, or are retried.
    """

    def __init__(self, library: Library, ledger: Ledger, options: Score):
        self.library, self.ledger, self.options = library, ledger, options
        self.new = 0
        self._retried = {path for path, _ in ledger.failed()} if options.retry else set()
        self._numbers: list[int] = []
        self._error: BaseException | None = None
        self._ended, self._stop = threading.Event(), threading.Event()

    def waves(self) -> Iterator[list[int]]:
        """Yield the numbers of the shards added since the last wave; end when all photos are listed.

        Raises:
            UserError: the library or the ledger raised one.
        """
        thread = threading.Thread(target=self._work, daemon=True)
        thread.start()
        given = 0
        try:
            while True:
                all_listed = self._ended.wait(SOON)
                if wave := self._numbers[given : given + MOST]:
                    given += len(wave)
                    yield wave
                elif all_listed:
                    break
        finally:
            self._stop.set()
            thread.join(timeout=PATIENCE)
        if self._error:
            raise self._error

    def _work(self) -> None:
        try:
            self._list()
        except BaseException as error:  # raised again in the thread that waits for the waves
            self._error = error
        finally:
            self._ended.set()

    def _list(self) -> None:
        known, photos = self.ledger.known(), self.library.photos()
        fresh: list[Photo] = []
        changed, touched = defaultdict[int, list[Photo]](list), defaultdict[int, list[Photo]](list)
        joined = defaultdict[int, set[str]](set)  # raw files that have become one photo with a JPEG
        while (some := list(islice(photos, AT_A_TIME))) and not self._stop.is_set():
            for photo, number, same in known.find(some):
                if not same and photo.partner:  # it may have been scored before its JPEG was there
                    ((raw, shard, _),) = known.find([Photo(photo.partner, b"")])
                    if shard is not None:
                        joined[shard].add(raw.path)
                if number is None:
                    former = self._under_its_former_name(photo, known)
                    (fresh if former is None else changed[former]).append(photo)
                elif photo.path in self._retried:
                    changed[number].append(photo)
                elif not same:
                    kept = self.options.by_content and self._is_only_touched(photo, number)
                    (touched if kept else changed)[number].append(photo)
            if not self.options.prune:  # otherwise some of them may be photos that were moved
                fresh = self._shard(fresh)
        if self._stop.is_set():
            return
        for number, again in touched.items():
            self.ledger.restate(number, again)
        # Dropped before they are added: after a kill in between they are listed once more, but never twice.
        for number, gone in changed.items():
            joined[number] |= {name for photo in gone for name in _names(photo)}
        self.ledger.drop(joined)
        for gone in changed.values():
            fresh += gone
        if self.options.prune:
            fresh = prune(self.library, self.ledger, known, fresh)
            fresh = self._shard(fresh)
        self._shard(fresh, fewest=1)

    def _under_its_former_name(self, photo: Photo, known: ListedPhotos) -> int | None:
        """Return the shard that lists a photo under its name in version 0.1, or None."""
        if (former := photo.name.former_text) == photo.path:
            return None
        ((_, number, _),) = known.find([photo._replace(path=former)])
        is_it = number is not None and any(
            listed.path == former and listed.file == photo.file for listed in self.ledger.photos(number)
        )
        return number if is_it else None

    def _shard(self, photos: list[Photo], fewest: int | None = None) -> list[Photo]:
        """Put full shards on the ledger, and a last one of at least `fewest` photos; return the photos left over."""
        rows = self.options.shard_rows
        while len(photos) >= (fewest or rows):
            self._numbers.append(self.ledger.add(photos[:rows]))
            self.new += len(photos[:rows])
            photos = photos[rows:]
        return photos

    def _is_only_touched(self, photo: Photo, number: int) -> bool:
        """Return whether a photo has the content and the raw file that it had when it was scored."""
        if photo.row is not None:
            return False
        try:
            data = self.library.addresses.read(photo.name.location)
        except images.ImageError:
            return False
        return self._contents(number).get(photo.path) == (hashlib.sha256(data).hexdigest(), photo.partner)

    @lru_cache(maxsize=64)  # noqa: B019  (the object lives as long as one run)
    def _contents(self, number: int) -> dict[str, tuple[str | None, str | None]]:
        return self.ledger.contents(number)


def _names(photo: Photo) -> set[str]:
    """Return the texts under which a photo may be listed."""
    return {photo.path, photo.name.former_text}
