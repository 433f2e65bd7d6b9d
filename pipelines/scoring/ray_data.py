"""Works on chunks with Ray Data: its tasks read photos, have them scored by actors that hold the network, and paint.

A row of the data set is a chunk, and a task sees it through, so only shrunk photos and finished rows leave a process.
Full-size pixels never leave the process that decodes them. That process is a child of the task's process (see
`r2mrf.system.sandbox`); if a photo kills it, only that photo is lost.
"""

from __future__ import annotations

import functools
import pickle
import warnings
from collections import defaultdict, deque
from collections.abc import Iterator
from itertools import chain
from typing import Any

from pipelines.cluster import ray_cluster
from pipelines.scoring.chunks import Chunk, chunk_size, next_chunk, photos_in
from pipelines.scoring.job import ScoringJob, shares
from pipelines.scoring.reader import ReadPhoto, read
from pipelines.scoring.scorer import ScoredPhoto, Scorer, painted
from r2mrf.errors import UserError

# A chunk whose worker dies is tried again, but not for ever, because the chunk itself may be the cause.
RETRIES = 8
PATIENCE = 30.0  # seconds that the copies of the network get to say on which machines they run


class RayData:
    """Copies of the network on the connected cluster, and the tasks that bring them photos.

    The copies are actors of our own, and not Ray Data's: they outlive a wave of shards, and Ray warns of every actor
    of Ray Data that its arguments may be lost.

    Args:
        job: a prepared job.
    """

    def __init__(self, job: ScoringJob):
        import ray

        self._job, self._copies = job, list[Any]()
        self._shared = [ray.put(job)]  # inside a list it stays a reference, which each process resolves once
        self._copy = ray.remote(
            num_cpus=1,
            num_gpus=1 if ray_cluster.gpus() else 0,
            max_restarts=-1,
            max_task_retries=RETRIES,
            allow_out_of_order_execution=True,  # chunks are scored in the order in which they were read
        )(NetworkCopy)

    def run(self, waiting: deque[Chunk]) -> Iterator[tuple[Chunk, list[ScoredPhoto]]]:
        """Work on the waiting chunks; yield them as they finish, in any order.

        Raises:
            UserError: the cluster has no CPU for a reader besides the network.
            ray.exceptions.RayError: a chunk was given up, or Ray has ended.
        """
        from ray.data import TaskPoolStrategy

        threads, tasks = self._ready(photos_in(waiting))
        chunks = self._all_chunks(waiting)
        rows = [{"number": number, "photos": pickle.dumps(chunk.photos)} for number, chunk in enumerate(chunks)]
        # up to Ray 2.63, this deprecated argument is the only way to bound retries
        warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated")
        work = functools.partial(_work, shared=self._shared, copies=self._by_machine(), threads=threads)
        data = ray_cluster.ray_data().from_items(rows, override_num_blocks=min(len(rows), 4096))
        data = data.map(work, num_cpus=1, compute=TaskPoolStrategy(min(tasks, len(rows))), max_retries=RETRIES)
        for batch in data.iter_batches(batch_size=None, batch_format="pyarrow"):
            for row in batch.to_pylist():
                yield chunks[row["number"]], pickle.loads(row["photos"])

    def _ready(self, photos: int) -> tuple[int, int]:
        """Start as many copies of the network as there is room for; return threads per copy and number of tasks.

        While a task waits for its chunk to be scored, Ray lends its CPU to another task.
        """
        actors, threads = shares(self._job.options, cpus := ray_cluster.cpus(), ray_cluster.gpus())
        slots = ray_cluster.task_slots()
        if slots < 2:  # the network would wait for readers, and readers for its CPU
            raise UserError(f"score needs two CPUs, and this cluster has {slots}: start a machine with `--num-cpus=2`")
        actors = min(actors, slots - 1, -(-photos // self._job.options.batch))
        self._copies += [self._copy.remote() for _ in range(actors - len(self._copies))]
        return threads, min(cpus, slots - actors) + len(self._copies)

    def _by_machine(self) -> dict[str, list[Any]]:
        """Return the copies on each machine, by its id; copies that do not say where they are get an empty id.

        A task prefers a copy on its own machine: its photos stay there, and a faster machine gets more chunks.
        """
        import ray

        answers = [copy.machine.remote() for copy in self._copies]
        known = set(ray.wait(answers, num_returns=len(answers), timeout=PATIENCE)[0])
        found = defaultdict(list)
        for copy, answer in zip(self._copies, answers, strict=True):
            found[ray.get(answer) if answer in known else ""].append(copy)
        return dict(found)

    def _all_chunks(self, waiting: deque[Chunk]) -> list[Chunk]:
        """Take all chunks. The last ones are cut small, so that no copy is idle for long while others still work."""
        batch, left, chunks = self._job.options.batch, photos_in(waiting), list[Chunk]()
        while waiting:
            chunks.append(
                next_chunk(waiting, chunk_size(batch) if left > chunk_size(batch) * len(self._copies) else batch)
            )
            left -= len(chunks[-1].photos)
        return chunks


def _work(row: dict, shared: list, copies: dict[str, list], threads: int) -> dict:
    """Read the photos of a row, have them scored, and paint their maps if maps are wanted."""
    import ray

    job = _job(shared[0])
    seen = read(pickle.loads(row["photos"]), job)
    near = copies.get(ray.get_runtime_context().get_node_id()) or list(chain.from_iterable(copies.values()))
    copy = near[row["number"] % len(near)]
    scored = painted(ray.get(copy.score.remote(seen, shared, threads)), job)
    return {"number": row["number"], "photos": pickle.dumps(scored)}


@functools.lru_cache(maxsize=1)  # a few megabytes that every task of a run needs
def _job(shared: Any) -> ScoringJob:
    import ray

    return ray.get(shared)


class NetworkCopy:
    """A copy of the network on one of the machines.

    It gets the job with each chunk, because Ray warns that an object passed to a constructor may be lost.
    """

    def machine(self) -> str:
        """Return the id of the machine, as Ray calls it."""
        import ray

        return ray.get_runtime_context().get_node_id()

    def score(self, seen: list[ReadPhoto], shared: list, threads: int) -> list[ScoredPhoto]:
        """Score photos that were read; the first call waits for the engine to start."""
        return _scorer(shared[0], threads)(seen)


@functools.lru_cache(maxsize=1)
def _scorer(shared: Any, threads: int) -> Scorer:
    return Scorer(_job(shared), threads)
