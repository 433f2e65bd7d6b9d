"""The suite itself: whatever a test does to its process, the run ends and names the test."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KILLS = "os.kill(os.getpid(), signal.SIGKILL)"
WAITS = "lock = threading.Lock(); lock.acquire(); lock.acquire()"


@pytest.mark.parametrize(("harm", "stacks"), [(KILLS, False), (WAITS, True)], ids=["kills", "waits"])
def test_a_run_ends_and_names_the_test(tmp_path, harm, stacks):
    (tmp_path / "test_one.py").write_text(
        f"import os, signal, threading\n\ndef test_before():\n    pass\n\ndef test_harm():\n    {harm}\n"
    )
    (tmp_path / "test_two.py").write_text("def test_two():\n    pass\n")
    command = [sys.executable, "-m", "pytest", tmp_path, "--rootdir", tmp_path, "-p", "tests.support.suite_ends"]
    workers = ["-n", "2", "--dist", "loadfile", "--max-worker-restart", "0"]
    limit = ["-o", "faulthandler_timeout=3", "-o", "faulthandler_exit_on_timeout=true"]
    run = subprocess.run([*command, *workers, *limit], cwd=ROOT, capture_output=True, text=True, timeout=120)
    printed = run.stdout + run.stderr
    assert run.returncode != 0, printed
    assert "in test_one.py::test_harm" in printed
    assert ("in test_harm" in run.stderr) == stacks, run.stderr
