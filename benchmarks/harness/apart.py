"""Work in a process of its own, so that its memory, threads and imports touch nothing else."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def processes(number: int) -> ProcessPoolExecutor:
    """Start fresh processes, into which nothing of this one is copied."""
    return ProcessPoolExecutor(number, multiprocessing.get_context("spawn"))


def apart(work: Callable[..., T], *arguments: object) -> T:
    """Run `work` in a process of its own and return its result."""
    return largest_memory(work, *arguments)[0]


def largest_memory(work: Callable[..., T], *arguments: object) -> tuple[T, int]:
    """Run `work` in a process of its own; return its result and the peak memory of that process in bytes."""
    with processes(1) as pool:
        return pool.submit(work, *arguments).result(), pool.submit(_most_held).result()


def _most_held() -> int:
    # not getrusage: that counts what the parent held when it started this process
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
