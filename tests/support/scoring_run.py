"""A scoring run that is watched and killed: its processes, and the rows that it leaves."""

import contextlib
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pyarrow.parquet as pq

from tests.support.patience import PATIENCE


def family_of(driver: subprocess.Popen) -> list[psutil.Process]:
    """Return the process and all its descendants; empty if it has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(driver.pid).children(recursive=True)
    return []


def await_that(driver: subprocess.Popen, condition: Callable[[], bool | int]) -> None:
    """Wait for something that a run does."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert driver.poll() is None and time.monotonic() < until, "it did not come to that"
        time.sleep(0.02)


def rows_of(out: Path) -> dict[str, dict]:
    """Return the rows of a finished table by path; each photo has one, and the summary counts them."""
    rows = [row for file in (out / "scores").glob("shard-*.parquet") for row in pq.read_table(file).to_pylist()]
    assert len(rows) == len({row["path"] for row in rows})  # each once
    summary = json.loads((out / "summary.json").read_text())
    assert summary["ok"] + summary["failed"] == summary["total"] == len(rows)
    return {row["path"]: row for row in rows}
