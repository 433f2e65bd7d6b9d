"""Kill Ray's own processes, as when memory runs out: status 2, one sentence, and the same command resumes."""

import contextlib
import json
import os
import re
import signal
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


def score(root: Path, environment: dict[str, str], *options: str) -> subprocess.Popen:
    """Score root/photos into root/out by Ray; what is said is appended to root/log."""
    model = root / "tiny"
    command = [sys.executable, "-c", SCORE, "score", root / "photos", "--out", root / "out", "--engine", "torch"]
    command += ["--model", model if model.exists() else save_tiny_model(model), *options]
    with (root / "log").open("ab") as said:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said, start_new_session=True)


@each_part
def test_score(tmp_path, environment, part):
    for number in range(64):
        save_photo(tmp_path / f"photos/{number}.jpg", seed=number)
    log = tmp_path / "log"

    def start() -> subprocess.Popen:
        return score(tmp_path, environment)

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


def test_watch(tmp_path, environment):
    """One Ray serves all photos that come; if it is killed, the next photo ends the command with a sentence."""
    save_photo(tmp_path / "photos/0.jpg")
    shards = tmp_path / "out/scores"
    driver, rays = score(tmp_path, environment, "--watch", "0.2"), set()
    for number in (1, 2, 3):
        await_that(driver, lambda number=number: len(list(shards.glob("*.parquet"))) == number)
        family = family_of(driver)
        rays |= {process for process in family if process.name() == "raylet"}
        if number < 3:
            save_photo(tmp_path / f"photos/{number}.jpg", seed=number)
    assert len(rays) == 1
    kill(family, "raylet")
    save_photo(tmp_path / "photos/3.jpg", seed=3)
    assert driver.wait(PATIENCE) == 2
    assert GOES_ON in (tmp_path / "log").read_text().strip().splitlines()[-1]
    assert not psutil.wait_procs(family, timeout=PATIENCE)[1]
    driver = score(tmp_path, environment, "--watch", "0.2")
    await_that(driver, lambda: json.loads((tmp_path / "out/summary.json").read_text())["total"] == 4)
    family = family_of(driver)
    os.killpg(driver.pid, signal.SIGINT)
    assert driver.wait(PATIENCE) == 130
    assert not psutil.wait_procs(family, timeout=PATIENCE)[1]
    assert len(rows_of(tmp_path / "out")) == 4


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
