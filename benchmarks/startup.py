"""Measure start-up: what a command costs before it does anything.

    python -m benchmarks.startup

warm: files are in the system's cache, as in the second run of a day. cold: the cached files of Python's packages and of
the project are dropped before each start, as after a reboot; the time then depends on the disk.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness.figures import Figure, main, timed
from pipelines.project.samples import samples

PROJECT = Path(__file__).parents[1]
REPEATS = 5


def measure(short: bool) -> Iterator[Figure]:
    photo = samples()[1]
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "import r2mrf": (["-c", "import r2mrf"], 0.5),
            "r2mrf --help": (["-m", "pipelines.command.cli", "--help"], 0.5),
            "import torch": (["-c", "import torch"], None),
            "r2mrf map, one photo": (
                ["-m", "pipelines.command.cli", "map", str(photo), "-o", f"{folder}/map.png"],
                4.0,
            ),
        }
        for cold in (False,) if short else (False, True):
            table = "cold" if cold else "warm"
            for name, (command, most) in commands.items():
                seconds = [_start(command, cold) for _ in range(1 if short else REPEATS)]
                yield Figure(table, name, "s", seconds, at_most=most)


def _start(arguments: list[str], cold: bool) -> float:
    if cold:
        _drop_cache(Path(sysconfig.get_path("purelib")), PROJECT / "r2mrf", PROJECT / "pipelines")
    command = [sys.executable, *arguments]
    return timed(lambda: subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL))[1]


def _drop_cache(*folders: Path) -> None:
    """Ask the system to forget what it holds of these files; those that a running program maps stay."""
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                file = os.open(path, os.O_RDONLY)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(file)


if __name__ == "__main__":
    main(measure)
