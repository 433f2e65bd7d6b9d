"""Facts about the machine: the cores that a process may use, in a container with a CPU quota."""

import os
from pathlib import Path

import pytest

from r2mrf.system import machine

CFS = "cpu.cfs_quota_us", "cpu.cfs_period_us"


def save(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/", {"cpu.max": "200000 100000"}, [2.0]),  # a container sees its own cgroup at the root
        ("0::/", {"cpu.max": "max 100000"}, []),
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "50000 100000"}, [0.5]),  # one above counts too
        ("0::/../outside", {"cpu.max": "150000 100000"}, [1.5]),
        ("3:cpu,cpuacct:/docker/x", {f"cpu,cpuacct/{CFS[0]}": "300000", f"cpu,cpuacct/{CFS[1]}": "100000"}, [3.0]),
        ("3:cpu:/", {f"cpu/{CFS[0]}": "-1", f"cpu/{CFS[1]}": "100000"}, []),
        ("1:name=systemd:/\n0::/", {"cpu.max": "no number"}, []),
        ("1:memory:/", {}, []),
    ],
)  # fmt: skip
def test_quotas(tmp_path, membership, files, expected):
    save(tmp_path, {"membership": membership} | {f"root/{name}": text for name, text in files.items()})
    assert list(machine.quotas(tmp_path / "root", tmp_path / "membership")) == expected


@pytest.mark.parametrize(("quota", "expected"), [("30000", 1), ("100000", 1), ("100001", 2), ("9900000", 99)])
def test_cores_are_bounded_by_the_quota(tmp_path, monkeypatch, quota, expected):
    save(tmp_path, {"membership": "0::/", "cpu.max": f"{quota} 100000"})
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    monkeypatch.setattr(machine, "MEMBERSHIP", tmp_path / "membership")
    assert machine.cores() == min(expected, len(os.sched_getaffinity(0)))


def test_a_machine_without_cgroups(tmp_path):
    assert list(machine.quotas(tmp_path, tmp_path / "absent")) == []
