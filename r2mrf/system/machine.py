"""Processor cores and GPUs of this machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
DEVICES = Path("/dev")


def cores() -> int:
    """Return the number of cores that this process may use.

    That is the smaller of its affinity and the CPU quota of its container, rounded up; at least 1.
    """
    allowed = len(os.sched_getaffinity(0))
    return max(1, min([allowed, *(int(-(-quota // 1)) for quota in quotas(CGROUPS, MEMBERSHIP))]))


def machine() -> str:
    """Cores that this process may use, and their model."""
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []:
        if line.startswith("model name"):
            return f"{cores()} cores, {line.partition(':')[2].strip()}"
    return f"{cores()} cores, {platform.machine()}"


def has_gpu() -> bool:
    """Return whether this process may use a GPU, as far as the system's devices tell: NVIDIA's or AMD's."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return False
    return any(DEVICES.glob("nvidia[0-9]*")) or (DEVICES / "kfd").exists()


def quotas(root: Path, membership: Path) -> Iterator[float]:
    """CPU quotas, in cores, of a process's cgroup and of all above it, for both versions of cgroups.

    Args:
        root: where cgroups are mounted, /sys/fs/cgroup.
        membership: lists the process's cgroups, /proc/self/cgroup: lines HIERARCHY:CONTROLLERS:PATH.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _each(root, path, _quota_v2)
        elif "cpu" in controllers.split(","):
            mounted = next((m for m in (root / controllers, root / "cpu") if m.is_dir()), root)
            yield from _each(mounted, path, _quota_v1)


def _each(mounted: Path, path: str, quota_of) -> Iterator[float]:
    """Quotas of the folder of a cgroup and of those above it; in a container the path may lie outside, and the mount is
    the cgroup itself."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for depth in range(len(parts), -1, -1):
        with suppress(OSError, ValueError):
            quota = quota_of(mounted.joinpath(*parts[:depth]))
            if quota > 0:
                yield quota


def _quota_v2(folder: Path) -> float:
    quota, period = (folder / "cpu.max").read_text().split()
    return 0 if quota == "max" else int(quota) / int(period)


def _quota_v1(folder: Path) -> float:
    quota = int((folder / "cpu.cfs_quota_us").read_text())  # -1: none
    return quota / int((folder / "cpu.cfs_period_us").read_text())
