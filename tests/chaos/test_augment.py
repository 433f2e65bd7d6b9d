"""`augment`, killed while it writes and started again, ends with the bytes of an undisturbed one."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.support.patience import PATIENCE
from tests.support.workspace import Workspace


def shards_of(root: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((root / "data/augmented").glob("*.parquet"))}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Workspace:
    space = Workspace(tmp_path_factory.mktemp("space"))
    space.set({"data": {"train": 130}})  # several shards
    space.run("python", "-m", "pipelines.prepare")
    return space


@pytest.mark.parametrize("after", [0, 1])
def test_killed_amid_its_shards(prepared, after):
    """Kill it when so many shards are there, while the next ones are being made."""
    if not shards_of(prepared.root):
        prepared.run("python", "-m", "pipelines.augment")
    whole = shards_of(prepared.root)
    assert len(whole) > 2
    for name in list(whole)[after:]:
        (prepared.root / "data/augmented" / name).unlink()
    command = ["python", "-m", "pipelines.augment"]
    driver = subprocess.Popen(command, cwd=prepared.root, env=prepared.env, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    until = time.monotonic() + PATIENCE
    while not any((prepared.root / "data/augmented").glob(".*")):  # a file that is being written
        assert driver.poll() is None and time.monotonic() < until
        time.sleep(0.002)
    family = psutil.Process(driver.pid).children(recursive=True)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    psutil.wait_procs(family, timeout=PATIENCE)
    prepared.run("python", "-m", "pipelines.augment")
    assert shards_of(prepared.root) == whole
