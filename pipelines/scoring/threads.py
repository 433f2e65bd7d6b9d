"""Works on chunks in threads of this process, which start at once: for a small library, Ray's start takes long.

Readers, networks and batches are the same as in `ray_data`, with the same numbers of copies and threads, so the rows
are the same to the last bit.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue

from pipelines.scoring.chunks import Chunk, next_chunk
from pipelines.scoring.job import ScoringJob, shares
from pipelines.scoring.reader import ReadPhoto, new_guard, read
from pipelines.scoring.scorer import ScoredPhoto, Scorer, painted
from r2mrf.system.machine import cores

AHEAD = 3  # chunks begun for each copy of the network: one being scored, one being read, one between them
PATIENCE = 5.0  # seconds to wait for the threads after an interruption; an unreachable photo may block one


class Threads:
    """A thread that runs the network and a thread that reads, for each copy of the network.

    Args:
        job: the job to work on.
        prepared: waits for the prepared job and returns it; the network's threads call it while the others read.

    Attributes:
        copies: how many copies of the network there are.
    """

    def __init__(self, job: ScoringJob, prepared: Callable[[], ScoringJob]):
        self._job, self._prepared = job, prepared
        self.copies, self._threads_each = shares(job.options, cores())
        self._stopped, self._starting = threading.Event(), threading.Lock()
        self._todo: SimpleQueue[Chunk | None] = SimpleQueue()
        self._read: SimpleQueue[tuple[Chunk, list[ReadPhoto]] | None] = SimpleQueue()
        self._done: SimpleQueue[tuple[Chunk, list[ScoredPhoto]] | BaseException] = SimpleQueue()
        self._all = [
            threading.Thread(target=self._guarded, args=(work,), daemon=True)
            for work in (self._reads, self._scores)
            for _ in range(self.copies)
        ]
        for thread in self._all:
            thread.start()

    def run(self, waiting: deque[Chunk]) -> Iterator[tuple[Chunk, list[ScoredPhoto]]]:
        """Work on the waiting chunks, batch by batch, until all are done or `stop` is called; yield finished ones.

        Raises:
            Exception: whatever a thread raised.
        """
        begun = 0
        while True:
            while waiting and begun < AHEAD * self.copies and not self._stopped.is_set():
                self._todo.put(next_chunk(waiting, self._job.options.batch))
                begun += 1
            if not begun:
                return
            result = self._done.get()
            if isinstance(result, BaseException):
                raise result
            begun -= 1
            yield result

    def stop(self) -> None:
        """Begin no further chunk; `run` ends when those begun are done."""
        self._stopped.set()

    def close(self) -> None:
        """End the threads and their child processes."""
        self.stop()
        with contextlib.suppress(Empty):
            while True:
                self._todo.get_nowait()
        for _ in range(self.copies):
            self._todo.put(None)
            self._read.put(None)
        for thread in self._all:
            thread.join(PATIENCE)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # raised again in the thread that waits for results
            self._done.put(error)

    def _reads(self) -> None:
        with contextlib.closing(new_guard(self._job)) as guard:
            while chunk := self._todo.get():
                self._read.put((chunk, read(chunk.photos, self._job, guard)))

    def _scores(self) -> None:
        with self._starting:  # engines share what they load, so they start one after the other
            job = self._prepared()
            scorer = Scorer(job, self._threads_each)
        while came := self._read.get():
            chunk, seen = came
            self._done.put((chunk, painted(scorer(seen), job)))
