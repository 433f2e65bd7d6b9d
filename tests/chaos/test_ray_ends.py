"""Kill Ray's own processes, as when memory runs out: status 2, one sentence, and the same command resumes."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.model import save_tiny_model
from tests.support.patience import PATIENCE
from tests.support.photos import save_photo
from tests.support.scoring_run import await_that, family_of, rows_of
from tests.support.training_run import EVERY, Run

ROOT = Path(__file__).parents[2]
SENTENCE = "the work has ended or was killed"
GOES_ON = "run the same command again to resume"
# a driver waits this long for a control store that is gone; Ray's own value is a minute
SOON = {"RAY_gcs_rpc_server_reconnect_timeout_s": "5"}
# `r2mrf`, which leaves a small library to Ray as it would a large one
SCORE = """
import sys
from pipelines.command.cli import main
from pipelines.scoring import supervised_run
supervised = supervised_run.supervised
supervised_run.supervised = lambda work, *given, **named: supervised("tests.support.scoring:by_ray", *given, **named)
sys.exit(main())
"""
each_part = pytest.mark.parametrize("part", ["raylet", "gcs_server"])


def kill(family: list[psutil.Process], part: str) -> None:
    """Kill one of the Ray processes that a driver has started."""
    (victim,) = [process for process in family if process.name() == part]
    victim.kill()


def is_at_work(process: psutil.Process) -> bool:
    """Return whether a Ray worker is busy; Ray's agents have such titles too."""
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return bool(re.match(r"ray::(?!IDLE|\w*Agent|Dashboard)", " ".join(process.cmdline()[:1])))
    return False


@pytest.fixture
def environment() -> dict[str, str]:
    return os.environ | SOON


@each_part
def test_score(tmp_path, environment, part):
    for number in range(64):
        save_photo(tmp_path / f"photos/{number}.jpg", seed=number)
    model, log = save_tiny_model(tmp_path / "tiny"), tmp_path / "log"
    command = [sys.executable, "-c", SCORE, "score", tmp_path / "photos", "--out", tmp_path / "out"]
    command += ["--model", model, "--engine", "torch"]

    def start() -> subprocess.Popen:
        with log.open("ab") as said:
            return subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=said, stderr=said, start_new_session=True
            )

    driver = start()
    await_that(driver, lambda: any(is_at_work(process) for process in family_of(driver)))
    family = family_of(driver)
    kill(family, part)
    assert driver.wait(PATIENCE) == 2
    assert SENTENCE in log.read_text() or "Ray has ended or lost its machines" in log.read_text()
    assert GOES_ON in log.read_text().strip().splitlines()[-1] and log.read_text().count("r2mrf: ") == 1
    assert not psutil.wait_procs(family, timeout=PATIENCE)[1]
    assert start().wait(PATIENCE) == 0
    assert len(rows_of(tmp_path / "out")) == 64


@each_part
def test_train(tmp_path, environment, part):
    with Run(tmp_path, workers=2, steps=100) as run:  # long enough not to end before Ray's end is noticed
        run.env |= environment
        run.start()
        run.await_step(2 * EVERY)
        family = psutil.Process(run.driver.pid).children(recursive=True)
        kill(family, part)
        assert run.driver.wait(PATIENCE) == 2, run.said()[-3000:]
        assert run.said().count("error: ") == 1 and GOES_ON in run.said()
        assert not psutil.wait_procs(family, timeout=PATIENCE)[1]
        before = run.said()
        run.start()
        run.finish()
        assert f"step {EVERY}/{run.steps}:" not in run.said().removeprefix(before)
