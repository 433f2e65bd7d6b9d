"""Memory of bulk scoring: does it grow with the library?

    python -m benchmarks.memory 100 20000

For each number of photos, `r2mrf score` runs in processes of its own; the largest sum of what they hold (proportional
set size: what is shared counts once) is printed. Photos are links to a few small JPEGs, so that the run is short.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.score import make_photos

KINDS = 20  # different photos


def main() -> None:
    parser = argparse.ArgumentParser(description="Largest memory of scoring libraries of these numbers of photos.")
    parser.add_argument("photos", type=int, nargs="+")
    parser.add_argument("--model", default="lite")
    parser.add_argument("--engine", default="torch")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_photos(Path(folder) / "kinds", KINDS, 320, 240)
        first = None
        for number in options.photos:
            library = Path(folder) / f"library{number}"
            library.mkdir()
            for i in range(number):
                os.link(Path(folder) / "kinds" / f"{i % KINDS:06d}.jpg", library / f"{i:07d}.jpg")
            largest, seconds = run(library, Path(folder) / f"out{number}", options)
            first = first or largest
            print(f"{number:>8} photos: {largest / 2**20:7.0f} MB, {largest / first:.2f} of the first; {seconds:.0f} s")


def run(library: Path, out: Path, options: argparse.Namespace) -> tuple[int, float]:
    """Largest memory in bytes, and seconds."""
    command = [sys.executable, "-m", "pipelines.cli", "score", library, "--out", out, "--engine", options.engine]
    began, largest = time.perf_counter(), 0
    driver = subprocess.Popen([*command, "--model", options.model], stdout=subprocess.DEVNULL)
    while driver.poll() is None:
        largest = max(largest, held(driver.pid))
        time.sleep(1)
    if driver.returncode:
        sys.exit(f"scoring ended with status {driver.returncode}")
    return largest, time.perf_counter() - began


def held(pid: int) -> int:
    """Bytes of a process and all that it started."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        for process in [(root := psutil.Process(pid)), *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += process.memory_full_info().pss
    return total


if __name__ == "__main__":
    main()
