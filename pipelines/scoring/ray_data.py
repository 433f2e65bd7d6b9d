"""Processes shards with Ray Data: reads and shrinks photos, runs the network on them, and paints their maps.

A row of the data set is a chunk: a fixed run of photos of one shard, so that the same photos always form the same
batches and give the same numbers, whatever was killed in between. Full-size pixels never leave the process that decodes
them. That process is a child of the task's process (see `r2mrf.system.sandbox`); if a photo kills it, only that photo
is lost.
"""

from __future__ import annotations

import functools
import pickle
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pipelines.cluster import ray_cluster
from pipelines.library.photo import Photo
from pipelines.scoring.job import Job, shares
from pipelines.scoring.reader import read
from pipelines.scoring.scorer import ScoredPhoto, Scorer
from r2mrf.errors import UserError
from r2mrf.imaging import images
from r2mrf.imaging.maps import to_uint8
from r2mrf.system.fingerprint import fingerprint

# A chunk whose worker dies is tried again, but not for ever as by default: the chunk itself may be the killer.
RETRIES = 8
CHUNK = 32  # photos per row of the data set: 10 MB when shrunk to 320×320


def run(shards: dict[int, list[Photo]], job: Job) -> Iterator[tuple[int, int, list[ScoredPhoto]]]:
    """Process shards; yield chunks as they finish, in any order: (shard, position of the first photo, photos).

    Raises:
        UserError: the cluster has no CPU for a reader besides the network.
    """
    import ray
    from ray.data import ActorPoolStrategy, TaskPoolStrategy

    actors, threads = shares(job.options, cpus := ray_cluster.cpus(), ray_cluster.gpus())
    task_slots = ray_cluster.task_slots()
    if task_slots < 2:  # the network would wait for readers, and readers for its CPU
        raise UserError(f"score needs two CPUs, and this cluster has {task_slots}: start a machine with `--num-cpus=2`")
    chunks = [
        {"shard": number, "place": place, "content": pickle.dumps(photos[place : place + CHUNK])}
        for number, photos in shards.items()
        for place in range(0, len(photos), CHUNK)
    ]
    # the only way to limit retries, up to Ray 2.63
    warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated")
    shared, tasks = ray.put(job), TaskPoolStrategy(min(cpus, len(chunks)))
    data = ray.data.from_items(chunks, override_num_blocks=min(len(chunks), 4096))
    data = data.map(functools.partial(_read, shared), num_cpus=1, compute=tasks, max_retries=RETRIES)
    data = data.map(
        Actor,
        fn_constructor_args=(shared, threads),
        compute=ActorPoolStrategy(size=min(actors, task_slots - 1, len(chunks))),
        num_cpus=0.99,  # Ray fuses tasks with equal claims into one process, and the network would wait for decoding
        num_gpus=1 if ray_cluster.gpus() else 0,
        max_task_retries=RETRIES,
    )
    if job.options.maps:
        data = data.map(functools.partial(_paint, shared), num_cpus=1, compute=tasks, max_retries=RETRIES)
    for batch in data.iter_batches(batch_size=None, batch_format="pyarrow"):
        for row in batch.to_pylist():
            yield row["shard"], row["place"], pickle.loads(row["content"])


def _read(shared: Any, row: dict) -> dict:
    return row | {"content": pickle.dumps(read(pickle.loads(row["content"]), _job(shared)))}


def _paint(shared: Any, row: dict) -> dict:
    photos = pickle.loads(row["content"])
    return row | {"content": pickle.dumps([paint(photo, _job(shared)) for photo in photos])}


@functools.lru_cache(maxsize=1)  # a few megabytes that every task of a wave needs
def _job(shared: Any) -> Job:
    import ray

    return ray.get(shared)


class Actor:
    """A copy of the network on one of the machines."""

    def __init__(self, shared: Any, threads: int):
        self.look = Scorer(_job(shared), threads)

    def __call__(self, row: dict) -> dict:
        return row | {"content": pickle.dumps(self.look(pickle.loads(row["content"])))}


def paint(photo: ScoredPhoto, job: Job) -> ScoredPhoto:
    """Paint the map of a photo at its own size, as a PNG file named by the photo's content and the fingerprint."""
    row = photo.row
    if photo.defocus is None:
        return photo
    assert row.height is not None and row.width is not None  # a photo with a map was read
    pixels = to_uint8(job.preprocess.expand(photo.defocus, row.height, row.width))
    name = f"{fingerprint(row.content_sha256, job.fingerprint)[:32]}.png"
    return ScoredPhoto(replace(row, map=name), png=images.encode_png(pixels))
