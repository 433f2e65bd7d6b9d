"""Work on chunks in threads of this process, which begin at once: what Ray takes to start is felt in a small library.

Reader and network are those of `ray_tasks`, as many copies of the network with as many threads each, and the same
batches: the rows are the same to the last bit.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue

from pipelines.scoring.chunks import Chunk, take
from pipelines.scoring.job import Job, shares
from pipelines.scoring.reader import ReadPhoto, new_guard, read
from pipelines.scoring.scorer import ScoredPhoto, Scorer, painted
from r2mrf.system.machine import cores

AHEAD = 3  # chunks begun for each copy of the network: one is scored, one is read, one waits between them
PATIENCE = 5.0  # seconds for the threads to end when the work is broken off; a photo out of reach may hang one


class Threads:
    """For each copy of the network a thread that runs it and one that reads.

    Args:
        job: what is to be done.
        prepared: returns the job once it is prepared; called by the threads, so that they read meanwhile.
    """

    def __init__(self, job: Job, prepared: Callable[[], Job]):
        self._job, self._prepared = job, prepared
        self._copies, self._threads_each = shares(job.options, cores())
        self._stopped, self._starting = threading.Event(), threading.Lock()
        self._todo: SimpleQueue[Chunk | None] = SimpleQueue()
        self._read: SimpleQueue[tuple[Chunk, list[ReadPhoto]] | None] = SimpleQueue()
        self._done: SimpleQueue[tuple[Chunk, list[ScoredPhoto]] | BaseException] = SimpleQueue()
        self._all = [
            threading.Thread(target=self._guarded, args=(work,), daemon=True)
            for work in (self._reads, self._scores)
            for _ in range(self._copies)
        ]
        for thread in self._all:
            thread.start()

    def run(self, waiting: deque[Chunk]) -> Iterator[tuple[Chunk, list[ScoredPhoto]]]:
        """Work on what waits, batch by batch, until all is done or `stop` is called; yields what is done.

        Raises:
            Exception: whatever a thread has raised.
        """
        begun = 0
        while True:
            while waiting and begun < AHEAD * self._copies and not self._stopped.is_set():
                self._todo.put(take(waiting, self._job.options.batch))
                begun += 1
            if not begun:
                return
            result = self._done.get()
            if isinstance(result, BaseException):
                raise result
            begun -= 1
            yield result

    def stop(self) -> None:
        """Begin nothing more; `run` ends when what was begun is done."""
        self._stopped.set()

    def close(self) -> None:
        """End the threads and their children."""
        self.stop()
        with contextlib.suppress(Empty):
            while True:
                self._todo.get_nowait()
        for _ in range(self._copies):
            self._todo.put(None)
            self._read.put(None)
        for thread in self._all:
            thread.join(PATIENCE)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # raised where it is waited for
            self._done.put(error)

    def _reads(self) -> None:
        with contextlib.closing(new_guard(self._job)) as guard:
            while chunk := self._todo.get():
                self._read.put((chunk, read(chunk.photos, self._job, guard)))

    def _scores(self) -> None:
        with self._starting:  # engines share what they load, and are started one after the other
            job = self._prepared()
            look = Scorer(job, self._threads_each)
        while came := self._read.get():
            chunk, seen = came
            self._done.put((chunk, painted(look(seen), job)))
