"""Training on a disk that is full says so, and goes on when there is room."""

import os
import subprocess

import pytest

from tests.support.patience import PATIENCE
from tests.support.training_run import Run


def test_the_disk_is_full_while_a_state_is_written(tmp_path, undisturbed):
    with Run(tmp_path, workers=2) as run:
        disk = run.root / "runs"
        disk.mkdir()
        if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "none", disk]).returncode:
            pytest.skip("a small disk cannot be mounted here")
        try:
            run.start()
            assert run.driver.wait(2 * PATIENCE) == 2, run.said()[-3000:]
            assert "No space left" in run.said()
            assert not (run.root / "models/r2mrf").exists()
            subprocess.run(["mount", "-o", "remount,size=2g", disk], check=True)
            run.start()
            assert run.finish() == undisturbed
        finally:
            subprocess.run(["umount", "-l", disk], check=True)
