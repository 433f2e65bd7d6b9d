"""Compare bulk scoring with what a user would write instead, and with its own engine, side by side in one run.

    python -m benchmarks.score

- the plain ways of `benchmarks.harness.plain`;
- fed: the engine that scoring uses, fed from memory by as many processes and threads as scoring has;
- score: `score_library`, photos on disk to the table, start and end included; once started: its rate from the first
  chunk of photos that is done to the last one, without the start of Ray and the loading of the network. Chunks are
  counted, because by the time a first shard is complete, much of the others is done;
- a folder of 50 photos, for the first time on a machine and once more: `--engine auto`, as the command has it.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import plain
from benchmarks.harness.apart import apart, processes
from benchmarks.harness.figures import Figure, main, ratio
from benchmarks.harness.material import make_model, make_photos
from pipelines.library.photo import Photo
from pipelines.project.samples import samples
from pipelines.scoring.job import ScoringJob, shares, with_engine
from pipelines.scoring.reader import ReadPhoto
from pipelines.scoring.supervised_run import score_library
from pipelines.storage.addresses import Addresses
from r2mrf.config import Score, load
from r2mrf.imaging import images
from r2mrf.prediction import record
from r2mrf.system.machine import cores

WAYS = {
    "Pillow and torch, a loop": plain.loop,
    "DataLoader with workers": plain.data_loader,
    "Ray Data, read_images and map_batches": plain.ray_data,
    "variance of the Laplacian, no network": plain.laplacian,
}
FED, SCORE, STEADY = "its own engine, fed from memory", "r2mrf score", "r2mrf score, once started"


class Sizes(NamedTuple):
    """The size of a photo, how many photos the two slow ways get, and the photos per shard."""

    photos: int
    plain: int
    width: int
    height: int
    shard: int
    repeats: int
    of_engine: float | None = None  # share of the engine's own rate that scoring should reach


SIZES = Sizes(600, 96, 640, 480, 64, 3, of_engine=0.85)
LARGE = Sizes(160, 32, 4000, 3000, 16, 3)
SHORT = Sizes(12, 12, 64, 48, 2, 1)
SMALL = 50  # photos


class Run(NamedTuple):
    """Photos per second, in total and once started; seconds to the first rows, the first shard on disk and the end."""

    whole: float
    steady: float
    rows: float
    first: float
    seconds: float


def measure(short: bool) -> Iterator[Figure]:
    sizes = SHORT if short else SIZES
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = str(make_model(folder / "model", load(), input_size=64, steps=1)) if short else "lite"
        job = with_engine(ScoringJob.of(model, Score(), Addresses()), folder).prepared()
        for number, some in enumerate([sizes] if short else [sizes, LARGE]):
            make_photos((own := folder / str(number)) / "photos", some.photos, some.width, some.height)
            yield from _against_plain_ways(own, model, job, some)
        yield from _small(folder / "small", model, SHORT.photos if short else SMALL, sizes.repeats)


def _small(folder: Path, model: str, photos: int, repeats: int) -> Iterator[Figure]:
    """Yield the times for a few photos: the first time on a machine, and with a model that was used before."""
    make_photos(folder / "photos", photos, 640, 480)
    runs: dict[str, list[Run]] = {"nothing remembered": [], "model used before": []}
    before = os.environ.get("R2MRF_CACHE")
    for repeat in range(repeats):
        os.environ["R2MRF_CACHE"] = str(folder / f"cache{repeat}")
        for number, some in enumerate(runs.values()):
            some.append(scored(folder / "photos", folder / f"out{repeat}-{number}", model, Score(engine="auto")))
    os.environ.pop("R2MRF_CACHE")
    if before is not None:
        os.environ["R2MRF_CACHE"] = before
    table = f"{photos} JPEGs of 640×480, start included"
    for name, some in runs.items():
        soon = 3 if name == "model used before" else None
        yield Figure(table, f"{name}: start to end", "s", [run.seconds for run in some], at_most=10)
        yield Figure(table, f"{name}: start to first rows", "s", [run.rows for run in some], at_most=soon)


def _against_plain_ways(folder: Path, model: str, job: ScoringJob, sizes: Sizes) -> Iterator[Figure]:
    library = folder / "photos"
    files = sorted(library.iterdir())
    rates: dict[str, list[float]] = {name: [] for name in (*WAYS, FED, SCORE, STEADY)}
    starts = []
    for repeat in range(sizes.repeats):
        for name, way in WAYS.items():
            slow = way in (plain.loop, plain.data_loader)
            rates[name].append(apart(way, files[: sizes.plain] if slow else files, model))
        rates[FED].append(fed(job, sizes.photos))
        options = Score(engine=job.engine, shard_rows=sizes.shard)
        run = scored(library, folder / f"out{repeat}", model, options)
        rates[SCORE].append(run.whole)
        rates[STEADY].append(run.steady)
        starts.append(run.first)
    table = f"{sizes.photos} JPEGs of {sizes.width}×{sizes.height}, engine {job.engine} {job.precision}"
    for name, values in rates.items():
        yield Figure(table, name, "photos/s", values)
    yield Figure(table, "start to first shard on disk", "s", starts, f"shards of {sizes.shard} photos")
    first = next(iter(WAYS))
    yield ratio(table, f"{STEADY} / {first}", rates[STEADY], rates[first], at_least=3)
    yield ratio(table, f"{SCORE} / {first}", rates[SCORE], rates[first])
    for name in list(WAYS)[1:3]:
        yield ratio(table, f"{STEADY} / {name}", rates[STEADY], rates[name], at_least=1)
    yield ratio(table, f"{STEADY} / {FED}", rates[STEADY], rates[FED], at_least=sizes.of_engine)
    yield ratio(table, f"{SCORE} / {FED}", rates[SCORE], rates[FED])


def fed(job: ScoringJob, number: int) -> float:
    """Return the photos per second of the engine alone, fed with photos that are already shrunk."""
    actors, threads = shares(job.options, cores())
    with processes(actors) as pool:
        return sum(pool.map(_fed, *zip(*[(job, threads, number // actors)] * actors, strict=True)))


def _fed(job: ScoringJob, threads: int, number: int) -> float:
    """Return the photos per second of one process among others."""
    from pipelines.scoring.scorer import Scorer

    scorer, seen = Scorer(job, threads), list(_seen(job, 32))
    scorer(seen)
    began, done = time.perf_counter(), 0
    while done < number:
        scorer(seen)
        done += len(seen)
    return done / (time.perf_counter() - began)


def _seen(job: ScoringJob, number: int) -> Iterator[ReadPhoto]:
    for i, path in zip(range(number), samples() * number, strict=False):
        yield ReadPhoto(Photo(str(i), b""), record.shrink(path.read_bytes(), job.preprocess, images.MAX_PIXELS), None)


def scored(library: Path, out: Path, model: str, options: Score) -> Run:
    """Score a library from scratch."""
    chunks: list[tuple[float, int]] = []  # when each came, and of how many photos
    began = time.time()
    summary = score_library(
        [str(library)], out, model, options, on_chunk=lambda photos: chunks.append((time.time(), photos))
    )
    seconds = time.time() - began
    (first, known), (last, _) = chunks[0], chunks[-1]
    shard = min(file.stat().st_mtime for file in (out / "scores").iterdir())
    steady = (summary["ok"] - known) / (last - first)
    return Run(summary["ok"] / seconds, steady, first - began, shard - began, seconds)


if __name__ == "__main__":
    main(measure)
