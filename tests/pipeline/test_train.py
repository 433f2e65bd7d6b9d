"""Training that is disturbed ends with the weights of training that is not: bit for bit, on real processes."""

import hashlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from workspace import Workspace

from r2mrf import images, shards
from r2mrf.config import Augment
from r2mrf.variants import variants

STEPS, EVERY = 40, 4
PATIENCE = 180  # seconds in which something must happen on a busy machine


def training_images(folder: Path) -> None:
    """Four sources and their variants: noise, blurred in one half."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = []
    for source in range(4):
        photo = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        photo[:, :32] = photo[:, :32].mean((0, 1))
        mask = np.zeros((64, 64), np.uint8)
        mask[:, :32] = 255
        options = Augment(variants=4, max_rotation=5, min_scale=0.9)
        rows += variants(f"source-{source}", images.encode_jpeg(photo), images.encode_png(mask), 0, options)
    shards.write(folder / "train-00000.parquet", rows, shards.VARIANTS, "made by a test")


class Run(Workspace):
    """One training run in a workspace of its own."""

    def __init__(self, root: Path, workers: int):
        super().__init__(root)
        self.set({"lite": {"train": {"workers": workers, "steps": STEPS, "report_every": EVERY}}})
        training_images(root / "data/augmented")

    def start(self) -> subprocess.Popen:
        """`python -m pipelines.train`, with what it says in train.log."""
        with (self.root / "train.log").open("a") as log:
            return subprocess.Popen(
                ["python", "-m", "pipelines.train"], cwd=self.root, env=self.env, stdout=log, stderr=log
            )

    def await_step(self, step: int, driver: subprocess.Popen) -> int:
        """Wait until a step is reported; pid of the worker that said so."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and driver.poll() is None:
            if found := re.search(rf"pid=(\d+)\).*step {step}/{STEPS}:", (self.root / "train.log").read_text()):
                return int(found[1])
            time.sleep(0.05)
        raise AssertionError((self.root / "train.log").read_text()[-3000:])

    def finish(self, driver: subprocess.Popen) -> str:
        """Wait for the end; hash of the weights."""
        assert driver.wait(2 * PATIENCE) == 0, (self.root / "train.log").read_text()[-3000:]
        return hashlib.sha256((self.root / "models/r2mrf/model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> str:
    run = Run(tmp_path_factory.mktemp("undisturbed"), workers=2)
    weights = run.finish(run.start())
    assert not list((run.root / "runs").iterdir())  # nothing of a finished run is kept
    history = (run.root / "reports/train/history.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in history] == ["step", *map(str, range(EVERY, STEPS + 1, EVERY))]
    return weights


def test_worker_killed(tmp_path, undisturbed):
    run = Run(tmp_path, workers=2)
    driver = run.start()
    os.kill(run.await_step(2 * EVERY, driver), signal.SIGKILL)
    assert run.finish(driver) == undisturbed


def test_driver_killed_then_started_again(tmp_path, undisturbed):
    run = Run(tmp_path, workers=2)
    driver = run.start()
    run.await_step(2 * EVERY, driver)
    driver.kill()
    driver.wait()
    time.sleep(10)  # its cluster notices and ends
    said_before = (run.root / "train.log").read_text()
    driver = run.start()
    assert run.finish(driver) == undisturbed
    said = (run.root / "train.log").read_text().removeprefix(said_before)
    assert f"step {EVERY}/{STEPS}:" not in said  # it went on, and did not begin anew


def test_other_parameters_do_not_take_up_the_state(tmp_path):
    run = Run(tmp_path, workers=1)
    driver = run.start()
    run.await_step(EVERY, driver)
    driver.send_signal(signal.SIGINT)
    assert driver.wait(PATIENCE) == 130
    (state,) = (run.root / "runs").iterdir()
    run.set({"seed": 7})
    run.finish(run.start())
    assert f"{Path('runs') / state.name}: state of a run with other data" in (run.root / "train.log").read_text()
    assert state.is_dir()


def test_loss_that_is_not_finite_ends_the_training_once(tmp_path):
    run = Run(tmp_path, workers=1)
    run.set({"lite": {"train": {"lr": 1e30, "backbone_lr": 1e30, "clip_norm": 0.0, "precision": "fp32"}}})
    assert run.start().wait(PATIENCE) == 2
    said = (run.root / "train.log").read_text()
    assert re.search(r"error: loss not finite at step \d+: fused ", said)
    assert "Traceback" not in said


def test_too_many_held_back_is_one_line(tmp_path):
    run = Run(tmp_path, workers=1)
    run.set({"lite": {"train": {"validation": 4}}})
    said = run.run("python", "-m", "pipelines.train", status=2)
    assert said == "error: train.validation 4 leaves nothing of 4 pairs to learn from: lower it\n"
