"""Measure time and memory of bulk scoring over the size of the library.

    python -m benchmarks.memory

For each number of photos, `r2mrf score` runs in processes of its own; the largest sum of what they hold (proportional
set size: what is shared counts once) is what counts. Photos are links to a few small JPEGs and the network is a tiny
one, so that the run is short: what could grow is the pipeline around it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.harness.figures import Figure, exponent, main, ratio
from benchmarks.harness.material import make_model, make_photos
from r2mrf.config import load

KINDS = 20  # different photos
NUMBERS = (100, 2_000, 20_000)
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
