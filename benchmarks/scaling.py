"""Measure how bulk scoring scales: over copies of the network, over machines, and when nearly all is done.

    python -m benchmarks.scaling

Machines are nodes of a Ray cluster on this one, each on a core of its own. The driver shares the first node's core, as
it does on a cluster's head, so that the second core is the second node's alone. Rates are those once
started.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness.apart import apart
from benchmarks.harness.figures import Figure, main, ratio, timed
from benchmarks.harness.material import make_model, make_photos
from benchmarks.score import scored
from pipelines.scoring.job import ScoringJob, shares, with_engine
from pipelines.scoring.supervised_run import score_library
from pipelines.storage.addresses import Addresses
from r2mrf.config import Score, load
from r2mrf.system.machine import cores

PHOTOS, WIDTH, HEIGHT, SHARD, REPEATS = 600, 640, 480, 64, 3
COPIES, NODES = (1, 2, 4), (1, 2)
CLAIMS = 3  # CPUs that a node says it has: room for two copies of the network and a reader


def measure(short: bool) -> Iterator[Figure]:
    photos, repeats, shard = (12, 1, 2) if short else (PHOTOS, REPEATS, SHARD)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = str(make_model(folder / "model", load(), input_size=64, steps=1)) if short else "lite"
        engine = with_engine(ScoringJob.of(model, Score(), Addresses()), folder).engine
        make_photos(folder / "photos", photos, *((64, 48) if short else (WIDTH, HEIGHT)))
        options = Score(engine=engine, shard_rows=shard)
        yield from _over_copies(folder, model, options, repeats)
        yield from _over_nodes(folder, model, options, repeats)
        yield from _once_more(folder, model, options, repeats)


def _over_copies(folder: Path, model: str, options: Score, repeats: int) -> Iterator[Figure]:
    """Yield the rates with more copies of the network that have fewer threads each."""
    table, rates = f"copies of the network, engine {options.engine}", {copies: list[float]() for copies in COPIES}
    for repeat in range(repeats):
        for copies, values in rates.items():
            out = folder / f"copies{copies}-{repeat}"
            values.append(scored(folder / "photos", out, model, options.model_copy(update={"actors": copies})).steady)
    for copies, values in rates.items():
        threads = shares(Score(actors=copies), cores())[1]
        yield Figure(table, f"{copies}", "photos/s", values, f"{threads} threads each, on {cores()} cores")
    for copies in COPIES[1:]:
        yield ratio(table, f"{copies} over 1", rates[copies], rates[1])


def _over_nodes(folder: Path, model: str, options: Score, repeats: int) -> Iterator[Figure]:
    table, rates = f"machines of one core, engine {options.engine}", {nodes: list[float]() for nodes in NODES}
    for repeat in range(repeats):
        for nodes, values in rates.items():
            values.append(apart(_of_nodes, nodes, folder, folder / f"nodes{nodes}-{repeat}", model, options))
    for nodes, values in rates.items():
        yield Figure(table, f"{nodes}", "photos/s", values, f"{(CLAIMS - 1) * nodes} copies of the network")
    yield ratio(table, "2 over 1", rates[2], rates[1])


def _of_nodes(nodes: int, folder: Path, out: Path, model: str, options: Score) -> float:
    """Return the photos per second of a cluster with so many nodes, measured in a process connected to no other Ray."""
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory(prefix="r") as rays:  # a short name: sockets lie below it
        os.environ["RAY_TMPDIR"] = rays  # the usual folder may belong to another user of this machine
        mine, cluster = sorted(os.sched_getaffinity(0)), Cluster()
        try:
            for core in (mine * nodes)[:nodes]:  # what is started from here inherits it
                os.sched_setaffinity(0, {core})
                cluster.add_node(num_cpus=CLAIMS)
            os.sched_setaffinity(0, {mine[0]})
            os.environ["RAY_ADDRESS"] = cluster.address
            options = options.model_copy(update={"actors": (CLAIMS - 1) * nodes})
            return scored(folder / "photos", out, model, options).steady
        finally:
            cluster.shutdown()


def _once_more(folder: Path, model: str, options: Score, repeats: int) -> Iterator[Figure]:
    """Yield the time of a second run on a scored folder: with nothing new, and with one new photo in a hundred."""
    library, out = folder / "photos", folder / f"copies{COPIES[0]}-0"
    photos, nothing_new, one_new = sorted(library.iterdir()), [], []
    few = max(len(photos) // 100, 1)
    for repeat in range(repeats):
        nothing_new.append(timed(lambda: score_library([str(library)], out, model, options))[1])
        for photo in photos[:few]:
            shutil.copy(photo, library / f"new-{repeat}-{photo.name}")
        one_new.append(timed(lambda: score_library([str(library)], out, model, options))[1])
    yield Figure("run again", "nothing new", "s", nothing_new)
    yield Figure("run again", "99 % done", "s", one_new, "with the start of Ray and the loading of the network")


if __name__ == "__main__":
    main(measure)
