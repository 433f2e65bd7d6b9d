"""Works on chunks with Ray: tasks read and shrink photos, actors run the network on them, and tasks paint their maps.

Full-size pixels never leave the process that decodes them. That process is a child of the task's process (see
`r2mrf.system.sandbox`); if a photo kills it, only that photo is lost.
"""

from __future__ import annotations

import functools
import math
from collections import deque
from collections.abc import Iterator
from typing import Any

from pipelines.cluster import ray_cluster
from pipelines.library.photo import Photo
from pipelines.scoring.chunks import Chunk, photos_in, take, whole
from pipelines.scoring.job import Job, shares
from pipelines.scoring.reader import ReadPhoto, read
from pipelines.scoring.scorer import ScoredPhoto, Scorer, painted
from r2mrf.errors import UserError

# A chunk whose worker dies is tried again, but not for ever: the chunk itself may be the killer.
RETRIES = 8


class RayTasks:
    """Copies of the network on the connected cluster, each with a few lanes; a lane holds one chunk at a time.

    Args:
        job: a prepared job.
    """

    def __init__(self, job: Job):
        import ray

        self._job, self._copies = job, list[Any]()
        self._shared = [ray.put(job)]  # inside a list it stays a reference, which each process resolves once
        task = ray.remote(num_cpus=1, max_retries=RETRIES)
        self._read, self._paint = task(_read), task(_paint)
        self._copy = ray.remote(
            num_cpus=1,
            num_gpus=1 if ray_cluster.gpus() else 0,
            max_restarts=-1,
            max_task_retries=RETRIES,
            allow_out_of_order_execution=True,  # chunks are scored in the order in which they were read
        )(Copy)

    def run(self, waiting: deque[Chunk]) -> Iterator[tuple[Chunk, list[ScoredPhoto]]]:
        """Work on the waiting chunks; yield them as they finish, in any order.

        The last chunks are cut small, so that no copy of the network is idle for long while others still work.

        Raises:
            UserError: the cluster has no CPU for a reader besides the network.
            ray.exceptions.RayError: a chunk was given up, or Ray has ended.
        """
        import ray

        left, batch = photos_in(waiting), self._job.options.batch
        copies, lanes, threads = self._ready(left)
        under_way: dict[Any, tuple[Chunk, Any]] = {}  # reference to the result -> the chunk and its copy
        free = copies * lanes
        while waiting or under_way:
            while free and waiting:
                size = whole(batch) if left > whole(batch) * len(copies) else batch
                chunk, copy = take(waiting, size), free.pop(0)
                left -= len(chunk.photos)
                under_way[self._send(chunk, copy, threads)] = chunk, copy
            ray.wait([*under_way])
            for result in ray.wait([*under_way], num_returns=len(under_way), timeout=0)[0]:
                chunk, copy = under_way.pop(result)
                free.append(copy)
                yield chunk, ray.get(result)

    def _ready(self, photos: int) -> tuple[list[Any], int, int]:
        """Return the copies of the network that the cluster has room for, and the lanes and threads of each.

        One lane is scored while chunks are read in the others; readers and memory limit their number.
        """
        import ray

        actors, threads = shares(self._job.options, cpus := ray_cluster.cpus(), ray_cluster.gpus())
        slots = ray_cluster.task_slots()
        if slots < 2:  # the network would wait for readers, and readers for its CPU
            raise UserError(f"score needs two CPUs, and this cluster has {slots}: start a machine with `--num-cpus=2`")
        actors = min(actors, slots - 1, math.ceil(photos / self._job.options.batch))
        self._copies += [self._copy.remote() for _ in range(actors - len(self._copies))]
        readers = min(cpus, slots - actors)
        in_memory = ray.cluster_resources().get("object_store_memory", 0) / 2 / _bytes(self._job)
        return self._copies, 1 + math.ceil(min(1.25 * readers, in_memory) / len(self._copies)), threads

    def _send(self, chunk: Chunk, copy: Any, threads: int) -> Any:
        """Submit a chunk and return the reference to its result."""
        scored = copy.score.remote(self._read.remote(chunk.photos, self._shared), self._shared, threads)
        return self._paint.remote(scored, self._shared) if self._job.options.maps else scored


def _bytes(job: Job) -> int:
    """Return the size in bytes of a chunk between reader and network."""
    pictures = 2 if job.options.detail else 1  # see `record.pictures_of`
    return whole(job.options.batch) * pictures * 3 * job.preprocess.size**2


def _read(photos: list[Photo], shared: list) -> list[ReadPhoto]:
    return read(photos, _job(shared[0]))


def _paint(photos: list[ScoredPhoto], shared: list) -> list[ScoredPhoto]:
    return painted(photos, _job(shared[0]))


@functools.lru_cache(maxsize=1)  # a few megabytes that every task of a run needs
def _job(shared: Any) -> Job:
    import ray

    return ray.get(shared)


class Copy:
    """A copy of the network on one of the machines.

    It gets the job with each chunk, because Ray warns that an object passed to a constructor may be lost.
    """

    def score(self, seen: list[ReadPhoto], shared: list, threads: int) -> list[ScoredPhoto]:
        """Score photos that were read; the first call waits for the engine to start."""
        return _scorer(shared[0], threads)(seen)


@functools.lru_cache(maxsize=1)
def _scorer(shared: Any, threads: int) -> Scorer:
    return Scorer(_job(shared), threads)
