"""Bulk scoring against what a user would write instead, side by side in one run.

    python -m benchmarks.score --photos 600 --size 640x480 --repeats 3

- plain: a loop of Pillow, the network as torch runs it (float32, NCHW), one photo after the other, all cores;
- fed: the engine that scoring uses, fed from memory by as many processes and threads as scoring has;
- score: `score_library`, photos on disk to the table; steady is its rate between the first shard and the last, without
  the start of Ray and the loading of the network.

Prints medians over the repeats with their spread, and the ratios.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pipelines.addresses import Addresses
from pipelines.cluster import cores
from pipelines.job import Job, decided, shares
from pipelines.library import samples
from pipelines.photo import Photo
from pipelines.reader import Seen
from pipelines.score import score_library
from r2mrf import images, scoring
from r2mrf.config import Score
from r2mrf.geometry import resize
from r2mrf.predictor import Predictor

SHARD = 64


def main() -> None:
    parser = argparse.ArgumentParser(description="Bulk scoring against a plain loop and against its own engine.")
    parser.add_argument("--photos", type=int, default=600)
    parser.add_argument("--size", default="640x480", help="of the photos, WIDTHxHEIGHT")
    parser.add_argument("--plain", type=int, default=64, help="photos for the plain loop, which is slow")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--model", default="lite")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "photos"
        make_photos(library, options.photos, width, height)
        job = decided(Job.of(options.model, Score(engine=options.engine), Addresses()), Path(folder)).prepared()
        rates: dict[str, list[float]] = {"plain": [], "fed": [], "score": [], "steady": []}
        for repeat in range(options.repeats):  # by turns, so that what else the machine does falls on all alike
            rates["plain"].append(plain(sorted(library.iterdir())[: options.plain], options.model))
            rates["fed"].append(fed(job, options.photos))
            whole, steady = scored(library, Path(folder) / f"out{repeat}", job, options.model)
            rates["score"].append(whole)
            rates["steady"].append(steady)
    print(f"{options.photos} JPEGs of {options.size}, {cores()} cores, engine {job.engine} {job.precision}")
    for name, values in rates.items():
        print(f"{name:8} {statistics.median(values):7.2f} photos/s ({min(values):.2f} to {max(values):.2f})")
    for one, other in (("score", "plain"), ("steady", "plain"), ("score", "fed"), ("steady", "fed")):
        ratios = [a / b for a, b in zip(rates[one], rates[other], strict=True)]
        print(f"{one}/{other}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def make_photos(folder: Path, number: int, width: int, height: int) -> None:
    """JPEGs cut from real photographs that installed packages ship, each another."""
    folder.mkdir()
    found, dice = [images.load(path) for path in samples()], np.random.default_rng(0)
    for i in range(number):
        photo = found[i % len(found)]
        y, x = (int(dice.integers(0, side // 3)) for side in photo.shape[:2])
        cut = photo[y : y + 2 * photo.shape[0] // 3, x : x + 2 * photo.shape[1] // 3]
        Image.fromarray(resize(cut, height, width)).save(folder / f"{i:06d}.jpg", quality=90)


def plain(files: list[Path], model: str) -> float:
    """Photos a second of the loop that one would write first."""
    torch.set_num_threads(cores())
    predictor = Predictor.load(model)
    network = predictor.network.to(memory_format=torch.contiguous_format)
    size = predictor.preprocess.size

    def one(file: Path) -> np.ndarray:
        small = np.asarray(Image.open(file).convert("RGB").resize((size, size), Image.Resampling.BOX))
        x = torch.from_numpy(np.ascontiguousarray(predictor.preprocess.normalise(small[None])))
        with torch.inference_mode():
            return network(x).fused.sigmoid().numpy()

    one(files[0])
    began = time.perf_counter()
    for file in files:
        one(file)
    return len(files) / (time.perf_counter() - began)


def fed(job: Job, number: int) -> float:
    """Photos a second of the engine, of photos that are shrunk already."""
    actors, threads = shares(job.options, cores())
    with ProcessPoolExecutor(actors, multiprocessing.get_context("spawn")) as pool:
        return sum(pool.map(_fed, *zip(*[(job, threads, number // actors)] * actors, strict=True)))


def _fed(job: Job, threads: int, number: int) -> float:
    """Of one process among others."""
    from pipelines.looker import Looker

    look, seen = Looker(job, threads), list(_seen(job, 32))
    look(seen)
    began, done = time.perf_counter(), 0
    while done < number:
        look(seen)
        done += len(seen)
    return done / (time.perf_counter() - began)


def _seen(job: Job, number: int) -> Iterator[Seen]:
    for i, path in zip(range(number), samples() * number, strict=False):
        yield Seen(Photo(str(i), b""), scoring.shrink(path.read_bytes(), job.preprocess, images.MAX_PIXELS), None)


def scored(library: Path, out: Path, job: Job, model: str) -> tuple[float, float]:
    """Photos a second of scoring, with all that belongs to it, and between its first shard and its last."""
    options = Score(engine=job.engine, shard_rows=SHARD)
    began = time.time()
    summary = score_library([str(library)], out, model, options)
    whole = summary["ok"] / (time.time() - began)
    times = sorted(file.stat().st_mtime for file in (out / "scores").iterdir())
    return whole, (summary["ok"] - SHARD) / (times[-1] - times[0])


if __name__ == "__main__":
    main()
