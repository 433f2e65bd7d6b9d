"""Compare the stage that builds training images with a bare loop of the same transforms on the same cores.

    python -m benchmarks.augment

Both sides read the same rendered pairs and make the same variants. The bare side is a process pool that decodes,
transforms and encodes, and keeps nothing: no shards, no fingerprints, no Ray. Each side runs on one core and on all.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import pyarrow.parquet as pq

from benchmarks.harness.figures import Figure, main, ratio, timed
from benchmarks.harness.material import make_pairs
from pipelines.augment import build_variants
from pipelines.cluster.ray_cluster import connect
from pipelines.storage.outputs import Folder
from r2mrf.config import Config, load
from r2mrf.data.variants import variants
from r2mrf.system.machine import cores

PAIRS, REPEATS = 604, 2
SCALING = 1.7  # rate that two cores should reach over one


def measure(short: bool) -> Iterator[Figure]:
    pairs, repeats = (2, 1) if short else (PAIRS, REPEATS)
    config, counts = load(), [cores()] if short else sorted({1, cores()})
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        sources = make_pairs(Path(folder) / "pairs", pairs, config)
        for repeat in range(repeats):
            for count in counts:
                out = Path(folder) / f"out-{repeat}-{count}"
                bare, whole, start = _on(count, _once, sources, out, config)
                images = pairs * config.augment.variants
                for name, seconds in (("bare", bare), ("stage", whole), ("steady", whole - start)):
                    rates.setdefault(f"{name} {count}", []).append(images / seconds)
    for count in counts:
        table = f"{count} core{'s' * (count > 1)}"
        bare, stage, steady = (rates[f"{name} {count}"] for name in ("bare", "stage", "steady"))
        yield Figure(table, "bare loop", "images/s", bare)
        yield Figure(table, "stage", "images/s", stage)
        yield Figure(table, "stage without Ray's start and stop", "images/s", steady)
        yield ratio(table, "stage / bare loop", stage, bare)
        yield ratio(table, "stage without Ray's start and stop / bare loop", steady, bare, at_least=0.8)
    if len(counts) > 1:
        one, all_cores = (rates[f"steady {count}"] for count in (counts[0], counts[-1]))
        yield ratio("scaling", f"stage, {counts[-1]} cores over one", all_cores, one, at_least=SCALING)
        yield ratio(
            "scaling",
            f"bare loop, {counts[-1]} cores over one",
            rates[f"bare {counts[-1]}"],
            rates[f"bare {counts[0]}"],
        )


def _on(count: int, work: Callable, *arguments: object) -> tuple[float, float, float]:
    """Run in a process that may use only so many cores, together with its children."""
    allowed = sorted(os.sched_getaffinity(0))[:count]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, initializer=os.sched_setaffinity, initargs=(0, allowed)) as pool:
        return pool.submit(work, *arguments).result()


def _once(sources: list[Path], out: Path, config: Config) -> tuple[float, float, float]:
    """Return the seconds of the bare loop, of the stage, and of Ray's start and stop within the stage."""
    made, bare = timed(lambda: _bare(sources, config))
    built, stage = timed(lambda: build_variants(Folder(sources[0].parent, None), out, config))
    assert made == built, f"{made} images of the bare loop, {built} of the stage"
    return bare, stage, timed(_start_and_stop)[1]


def _start_and_stop() -> None:
    with connect(logical_cpus=cores()):
        pass


def _bare(sources: list[Path], config: Config) -> int:
    with multiprocessing.get_context("spawn").Pool(cores()) as pool:
        return sum(pool.imap_unordered(_loop, [(path, config) for path in sources]))


def _loop(job: tuple[Path, Config]) -> int:
    path, config = job
    cv2.setNumThreads(1)
    pairs = pq.read_table(path).to_pylist()
    made = [variants(p["source_id"], p["image"], p["mask"], config.seed, config.augment) for p in pairs]
    return sum(map(len, made))


if __name__ == "__main__":
    main(measure)
