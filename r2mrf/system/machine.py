"""The processor cores of this machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0))


def machine() -> str:
    """Describe the processor: how many cores this process may use, and the model."""
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []:
        if line.startswith("model name"):
            return f"{cores()} cores, {line.partition(':')[2].strip()}"
    return f"{cores()} cores, {platform.machine()}"
