"""Training that is killed again and again after its first report, and training on a disk that is full."""

import os
import random
import re
import signal
import subprocess
import time

import pytest

from tests.chaos.test_train import undisturbed as undisturbed
from tests.support.training_run import EVERY, PATIENCE, STEPS, Run

KILLS = 20
MINUTES = 20.0  # after which no more kills are made; what was killed by then must still end well


def steps_said(run: Run) -> int:
    """The last step that was reported, in all that the run has said."""
    return max(map(int, re.findall(rf"step (\d+)/{STEPS}:", run.said())), default=0)


def test_twenty_kills_amid_steps(tmp_path, undisturbed):
    """At random moments after a report: a worker, or the driver and with it all others. Runs follow each other."""
    dice, kills, runs, until = random.Random(2026), 0, 0, time.monotonic() + 60 * MINUTES
    while kills < KILLS and time.monotonic() < until:
        (tmp_path / str(runs)).mkdir()
        with Run(tmp_path / str(runs), workers=2) as run:
            runs += 1
            run.start()
            target = EVERY
            while kills < KILLS and time.monotonic() < until and target < STEPS:
                worker = run.await_step(target)
                time.sleep(dice.uniform(0, 0.5))
                if run.driver.poll() is not None:
                    break
                kills += 1
                if dice.random() < 0.5:
                    try:
                        os.kill(worker, signal.SIGKILL)
                    except ProcessLookupError:
                        kills -= 1  # it had ended
                else:
                    run.kill()
                    run.start()
                target = steps_said(run) + EVERY
            assert run.finish() == undisturbed
    print(f"{kills} kills, {runs} runs")
    assert kills >= 5  # on a machine that is very busy


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
