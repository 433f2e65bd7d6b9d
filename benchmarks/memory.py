"""Measure time and memory of bulk scoring over the size of the library.

    python -m benchmarks.memory

For each number of photos, `r2mrf score` runs in processes of its own; the largest sum of what they hold (proportional
set size: what is shared counts once) is what counts. Photos are links to a few small JPEGs and the network is a tiny
one, so that the run is short: what could grow is the pipeline around it.

A million photos are replayed: the run lists them, divides them into chunks, gathers the chunks and writes the shards,
but their rows are made up where it would read and score them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.harness.apart import largest_memory
from benchmarks.harness.figures import Figure, exponent, main, ratio, timed
from benchmarks.harness.made_up import row_of, write_table
from benchmarks.harness.material import make_model, make_photos
from pipelines.scoring import run as scoring_run
from pipelines.scoring.chunks import Chunk, Deliver
from pipelines.scoring.scorer import ScoredPhoto
from r2mrf.config import Score, load

KINDS = 20  # different photos
NUMBERS = (100, 2_000, 20_000)
REPLAYED = (10_000, 100_000, 1_000_000)
EVERY = 0.5  # seconds between two readings of the memory


def measure(short: bool) -> Iterator[Figure]:
    numbers = (4, 8) if short else NUMBERS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = make_model(folder / "model", load(), input_size=64, steps=1)
        make_photos(folder / "kinds", KINDS, 320, 240)
        seconds, held = [], []
        for number in numbers:
            library = folder / f"library{number}"
            library.mkdir()
            for i in range(number):
                os.link(folder / "kinds" / f"{i % KINDS:06d}.jpg", library / f"{i:07d}.jpg")
            largest, took = run(library, folder / f"out{number}", model)
            seconds.append(took)
            held.append(largest)
            yield Figure("size of the library", f"{number:,} photos: time", "s", [took])
            yield Figure("size of the library", f"{number:,} photos: largest memory", "MB", [largest / 2**20])
        last = f"{numbers[-1]:,} photos over {numbers[0]:,}: memory"
        yield ratio("size of the library", last, held[-1:], held[:1], at_most=1.1)
        photos = [numbers[-1] - numbers[-2]]
        each = [1e3 * (seconds[-1] - seconds[-2]) / photos[0]]
        yield Figure("size of the library", "each further photo", "ms", each, "a tiny network; small photos")
        yield exponent("size of the library", "time", numbers, [seconds], at_most=1.0)
        yield exponent("size of the library", "memory", numbers, [held], at_most=0.05)
        yield from _replayed(folder, model, (1_000, 2_000) if short else REPLAYED)


def _replayed(folder: Path, model: Path, numbers: tuple[int, ...]) -> Iterator[Figure]:
    table, costs = "replayed chunks of photos", []
    for number in numbers:
        source = folder / f"{number}.parquet"
        write_table(source, number)
        costs.append(largest_memory(_replay, source, folder / f"replayed{number}", model))
        yield Figure(table, f"{number:,} photos: time", "s", [costs[-1][0]])
        yield Figure(table, f"{number:,} photos: largest memory", "MB", [costs[-1][1] / 2**20])
    seconds, held = zip(*costs, strict=True)
    each = [1e3 * (seconds[-1] - seconds[-2]) / (numbers[-1] - numbers[-2])]
    yield Figure(table, "each further photo: time", "ms", each)
    yield Figure(table, "each further photo: memory", "bytes", [(held[-1] - held[-2]) / (numbers[-1] - numbers[-2])])
    yield exponent(table, "time", numbers, [seconds], at_most=1.0)


def _replay(source: Path, out: Path, model: Path) -> float:
    """Score the photos of a table with a crew that makes their rows up; return the seconds."""
    scoring_run.Crew = ReplayingCrew  # type: ignore[misc, assignment]
    options = Score(engine="torch", precision="fp32")
    summary, seconds = timed(lambda: scoring_run.score([str(source)], out, str(model), options, lambda photos: None))
    if summary["ok"] != summary["total"]:
        raise AssertionError(f"{summary['ok']:,} of {summary['total']:,} photos scored")
    return seconds


class ReplayingCrew:
    """Delivers every chunk at once."""

    def __init__(self, *_: object):
        pass

    def work(self, waiting: deque[Chunk], deliver: Deliver) -> None:
        while waiting:
            chunk = waiting.popleft()
            deliver(chunk, [ScoredPhoto(row_of(photo)) for photo in chunk.photos])


def run(library: Path, out: Path, model: Path) -> tuple[int, float]:
    """Return the peak memory in bytes, and the seconds."""
    command = [sys.executable, "-m", "pipelines.command.cli", "score", library, "--out", out, "--engine", "torch"]
    began, largest = time.perf_counter(), 0
    driver = subprocess.Popen([*command, "--model", model], stdout=subprocess.DEVNULL)
    while driver.poll() is None:
        largest = max(largest, held(driver.pid))
        time.sleep(EVERY)
    if driver.returncode:
        sys.exit(f"scoring ended with status {driver.returncode}")
    return largest, time.perf_counter() - began


def held(pid: int) -> int:
    """Return the bytes held by a process and all its children."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        for process in [(root := psutil.Process(pid)), *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += process.memory_full_info().pss
    return total


if __name__ == "__main__":
    main(measure)
