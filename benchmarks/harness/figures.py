"""Figures of a benchmark, and the file that it writes: reports/bench/NAME.json.

def measure(short: bool) -> Iterator[Figure]:
    yield Figure("forward", "torch", "photos/s", [17.1, 17.4, 17.0])

if __name__ == "__main__":
    main(measure)
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import numpy as np
import psutil

from r2mrf.system.atomic import atomic_file
from r2mrf.system.machine import cores, machine

FOLDER = Path("reports/bench")
T = TypeVar("T")
LIBRARIES = ("torch", "ray", "onnxruntime", "openvino", "numpy", "opencv-python", "pillow", "pyarrow")


@dataclass(frozen=True)
class Figure:
    """A line of a table.

    Attributes:
        values: one per repeat; empty if it could not be measured here, and `note` then says why.
        at_least, at_most: the target for the median.
    """

    table: str
    name: str
    unit: str
    values: list[float] = field(default_factory=list)
    note: str = ""
    at_least: float | None = None
    at_most: float | None = None

    def row(self) -> dict:
        """Return the figure's row: median, lowest and highest value, and whether the target is reached."""
        facts = {name: value for name, value in vars(self).items() if value not in ("", None)}
        facts["values"] = [float(f"{value:.6g}") for value in self.values]
        if not self.values:
            return facts
        facts |= {"median": statistics.median(facts["values"])}
        facts |= {"low": min(facts["values"]), "high": max(facts["values"])}
        if self.at_least is not None or self.at_most is not None:
            low, high = self.at_least or -np.inf, np.inf if self.at_most is None else self.at_most
            facts["reached"] = bool(low <= facts["median"] <= high)
        return facts

    def __str__(self) -> str:
        row = self.row()
        if not self.values:
            return f"{self.table}: {self.name}: not run: {self.note}"
        spread = f" ({row['low']:.4g} to {row['high']:.4g})" if len(self.values) > 1 else ""
        return f"{self.table}: {self.name}: {row['median']:.4g}{spread} {self.unit}" + f"; {self.note}" * bool(
            self.note
        )


def ratio(table: str, name: str, ones: Iterable[float], others: Iterable[float], **reach: float | None) -> Figure:
    """Return the ratios, turn by turn, of figures measured in the same turns."""
    return Figure(table, name, "×", [one / other for one, other in zip(ones, others, strict=True)], **reach)


def exponent(table: str, name: str, sizes: Iterable[float], runs: Iterable[Iterable[float]], **reach: float) -> Figure:
    """Return the slope of log(cost) over log(size): 0 flat, 1 linear, 2 quadratic. `runs`: costs by repeat and size."""
    logs = np.log(list(sizes))
    slopes = [float(np.polyfit(logs, np.log(list(costs)), 1)[0]) for costs in runs]
    return Figure(table, name, "exponent", slopes, **reach)


def by_turns(
    ways: dict[str, Callable[[], object]],
    repeats: int,
    warm: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Return the seconds of each way, `repeats` times in turns; `warm` adds one uncounted run of each before."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values() if warm else ():
        way()
    for _ in range(repeats):
        for name, way in ways.items():
            seconds[name].append(timed(way, clock)[1])
    return seconds


def timed(way: Callable[[], T], clock: Callable[[], float] = time.perf_counter) -> tuple[T, float]:
    """Call a function; return its result and the seconds that it took by the clock."""
    began = clock()
    result = way()
    return result, clock() - began


def main(measure: Callable[[bool], Iterator[Figure]]) -> None:
    """Run a benchmark from the command line."""
    module = sys.modules[measure.__module__]
    parser = argparse.ArgumentParser(description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="see that it runs: tiny sizes, figures without meaning")
    parser.add_argument("--out", type=Path, default=FOLDER, help=f"folder of the file it leaves (default: {FOLDER})")
    options = parser.parse_args()
    record(Path(module.__file__).stem, measure(options.short), options.out, options.short)


def record(name: str, figures: Iterable[Figure], folder: Path, short: bool) -> Path:
    """Print each figure as soon as it is measured, and keep all figures so far in `folder/NAME.json`."""
    facts = {"benchmark": name, "command": f"python -m benchmarks.{name}", "short": short, **environment()}
    began, rows, path = time.perf_counter(), [], folder / f"{name}.json"
    for figure in figures:
        print(figure, flush=True)
        rows.append(figure.row())
        _write(path, facts, rows, began, finished=False)
    return _write(path, facts, rows, began, finished=True)


def _write(path: Path, facts: dict, rows: list[dict], began: float, finished: bool) -> Path:
    facts |= {"seconds": round(time.perf_counter() - began, 1), "load_after": _load(), "finished": finished}
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(facts | {"rows": rows}, indent=1) + "\n", encoding="utf-8")
    return path


def environment() -> dict:
    """Return the versions, machine and commit that figures depend on."""
    return {
        "machine": machine(),
        "cores": cores(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
        "commit": _commit(),
        "measured": datetime.now(UTC).isoformat(timespec="minutes"),
        "load_before": _load(),
    }


def _load() -> float:
    return round(os.getloadavg()[0], 2)


def _commit() -> str:
    """Return the measured commit, marked if files differ from it; files that benchmarks write do not count."""
    commit = _git("rev-parse", "--short=10", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!reports", ":!docs")
    return f"{commit}-dirty" if changed else commit or "unknown"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True).stdout.strip()
