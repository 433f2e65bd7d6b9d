"""Distributes chunks: threads of this process start on them at once, and Ray takes over when that pays."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

from pipelines.cluster.ray_cluster import LOGICAL_CPUS, connect, in_a_job
from pipelines.scoring.chunks import Chunk, Deliver, photos_in
from pipelines.scoring.job import ScoringJob
from pipelines.scoring.ray_data import RayData
from pipelines.scoring.scorer import ScoredPhoto
from pipelines.scoring.threads import Threads
from r2mrf.system.machine import cores, has_gpu

RAY_START = 8.0  # seconds until Ray (4 to 7) and its workers are running; shorter work is left to the threads
# Most copies of the network that the threads of one process can keep busy: of the 47 ms of processor time per photo,
# about 3 are spent in Python, where one thread runs at a time. Ray needs as long per photo, and 12 s to start.
MOST_COPIES = 4
TRIED = 6  # chunks from which the rate of the threads is measured


class Crew:
    """Works on chunks. In a cluster job, and on a machine with a GPU, Ray does all of them from the start.

    Args:
        stack: ends the threads and Ray when it is closed.
    """

    def __init__(self, job: ScoringJob, stack: ExitStack):
        self._stack = stack
        pool = stack.enter_context(ThreadPoolExecutor(1))
        self._prepared: Future[ScoringJob] = pool.submit(job.prepared)
        self._ray: RayData | None = None
        self._threads = None if in_a_job() or has_gpu() else Threads(job, self._prepared.result)
        if self._threads:
            stack.callback(self._threads.close)

    def work(self, waiting: deque[Chunk], deliver: Deliver) -> None:
        """Work on all waiting chunks; `deliver` is called with each finished chunk, by one thread at a time.

        Raises:
            UserError: the engine or Ray does not start, or Ray has ended.
        """
        if self._threads:
            self._in_threads(self._threads, waiting, deliver)
        if waiting:
            self._ray = self._ray or self._connected()
            _deliver_all(self._ray.run(waiting), deliver)

    def _in_threads(self, threads: Threads, waiting: deque[Chunk], deliver: Deliver) -> None:
        """Work in threads until all chunks are done, or until Ray is running and can do the rest."""
        results, rate = threads.run(waiting), _Rate()
        for chunk, photos in results:
            deliver(chunk, photos)
            if pays(threads.copies, rate.seconds(chunk, photos_in(waiting))):
                break
        else:
            return
        with ThreadPoolExecutor(1) as pool:  # Ray must be started by the present thread
            going_on = pool.submit(_deliver_all, results, deliver)
            try:
                self._ray = self._connected()
            finally:
                threads.stop()
        going_on.result()
        threads.close()
        self._threads = None

    def _connected(self) -> RayData:
        self._stack.enter_context(connect(logical_cpus=LOGICAL_CPUS + 2 * cores()))
        return RayData(self._prepared.result())


def pays(copies: int, seconds: float) -> bool:
    """Return whether to start Ray, given how long the threads, with this many copies of the network, would take."""
    return copies > MOST_COPIES and seconds > RAY_START


class _Rate:
    """The rate of the threads, measured from their first chunk on."""

    def __init__(self) -> None:
        self._began, self._photos, self._chunks = 0.0, 0, 0

    def seconds(self, chunk: Chunk, left: int) -> float:
        """Return the seconds that the remaining photos will take; 0 while that is still unknown."""
        now = time.monotonic()
        if not self._chunks:
            self._began = now
        else:
            self._photos += len(chunk.photos)
        self._chunks += 1
        return left * (now - self._began) / self._photos if self._chunks > TRIED else 0.0


def _deliver_all(results: Iterator[tuple[Chunk, list[ScoredPhoto]]], deliver: Deliver) -> None:
    for chunk, photos in results:
        deliver(chunk, photos)
