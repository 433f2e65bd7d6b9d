"""Training that is killed again and again after its first report."""

import os
import random
import re
import signal
import time

from tests.support.training_run import EVERY, STEPS, Run

KILLS = 20
MINUTES = 20  # after which nothing more is killed; runs that were killed by then must still end well


def steps_said(run: Run) -> int:
    """Return the last step that the run has reported."""
    return max(map(int, re.findall(rf"step (\d+)/{STEPS}:", run.said())), default=0)


def test_twenty_kills_amid_steps(tmp_path, undisturbed):
    """Kill a worker, or the driver and with it all others, at random moments after a report; runs follow each other."""
    dice, kills, runs, until = random.Random(2026), 0, 0, time.monotonic() + 60 * MINUTES
    while kills < KILLS and time.monotonic() < until:
        (tmp_path / str(runs)).mkdir()
        with Run(tmp_path / str(runs), workers=2) as run:
            runs += 1
            run.set({"lite": {"train": {"max_failures": KILLS}}})  # of one driver's workers, more than usual are killed
            run.start()
            target = EVERY
            while kills < KILLS and time.monotonic() < until and target < STEPS:
                if (worker := run.worker_at(target)) is None:
                    break
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
