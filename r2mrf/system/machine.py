"""The processor cores and GPUs of this machine."""

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

    This is the smaller of its CPU affinity and its container's CPU quota (rounded up), and at least 1.
    """
    allowed = len(os.sched_getaffinity(0))
    return max(1, min([allowed, *(int(-(-quota // 1)) for quota in quotas(CGROUPS, MEMBERSHIP))]))


def machine() -> str:
    """Describe the machine: the number of cores that this process may use, and the processor's model."""
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []:
        if line.startswith("model name"):
            return f"{cores()} cores, {line.partition(':')[2].strip()}"
    return f"{cores()} cores, {platform.machine()}"


def processor() -> list[str]:
    """Return facts that distinguish processors of different speed: architecture, model, and the instructions in use."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    named: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "flags", "Features", "CPU part"):
            named.setdefault(name.strip(), value.strip())
    return [platform.machine(), *named.values(), os.environ.get("ONEDNN_MAX_CPU_ISA", "")]


def has_gpu() -> bool:
    """Return whether this process may use a GPU, as far as the system's devices tell: NVIDIA's or AMD's."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return False
    return any(DEVICES.glob("nvidia[0-9]*")) or (DEVICES / "kfd").exists()


def quotas(root: Path, membership: Path) -> Iterator[float]:
    """Yield the CPU quotas, in cores, of a process's cgroup and of all its parents, for both versions of cgroups.

    Args:
        root: the mount point of cgroups, /sys/fs/cgroup.
        membership: the list of the process's cgroups, /proc/self/cgroup, with lines HIERARCHY:CONTROLLERS:PATH.
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
    """Yield the quotas of a cgroup's folder and of its parents.

    In a container the path may lie outside of the mount, which then is the cgroup itself.
    """
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
    quota = int((folder / "cpu.cfs_quota_us").read_text())  # -1: no quota
    return quota / int((folder / "cpu.cfs_period_us").read_text())
