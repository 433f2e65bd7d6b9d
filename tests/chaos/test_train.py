"""Training that is disturbed ends with the weights of training that is not: bit for bit, on real processes."""

import hashlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from object_store import s3_server
from planted import training_images
from workspace import Workspace

from pipelines.states import LIST

STEPS, EVERY = 40, 4
EPOCH = 24  # steps after which all images were seen a whole number of times: 12 to learn from, 2 a step
PATIENCE = 180  # seconds in which something must happen on a busy machine


class Run(Workspace):
    """One training run in a workspace of its own; or one of another stage."""

    stage = "train"

    def __init__(self, root: Path, workers: int | list[int]):
        super().__init__(root)
        self.set({"lite": {"train": {"workers": workers, "steps": STEPS, "report_every": EVERY}}})
        training_images(root / "data/augmented")

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *error) -> None:
        self.driver.kill()  # if it still runs: its cluster notices and ends
        self.driver.wait()

    def start(self) -> None:
        """`python -m pipelines.STAGE`, with what it says in driver.log."""
        command = ["python", "-m", f"pipelines.{self.stage}"]
        with (self.root / "driver.log").open("a") as log:
            self.driver = subprocess.Popen(command, cwd=self.root, env=self.env, stdout=log, stderr=log)

    def said(self) -> str:
        return (self.root / "driver.log").read_text()

    def states(self) -> set[Path]:
        return set((self.root / "runs").glob("train-*/checkpoint_*"))

    def await_step(self, step: int) -> int:
        """Wait until a step is reported; pid of the worker that said so."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.driver.poll() is None:
            if found := re.search(rf"pid=(\d+)\).*step {step}/{STEPS}:", self.said()):
                return int(found[1])
            time.sleep(0.05)
        raise AssertionError(self.said()[-3000:])

    def kill(self) -> None:
        """Kill the driver, and wait until its cluster has noticed and ended."""
        family = psutil.Process(self.driver.pid).children(recursive=True)
        self.driver.kill()
        self.driver.wait()
        psutil.wait_procs(family, timeout=PATIENCE)

    def go_on(self, undisturbed: str) -> None:
        """Start again: it goes on, does not begin anew, and ends with these weights."""
        before = self.said()
        self.start()
        assert self.finish() == undisturbed
        assert f"step {EVERY}/{STEPS}:" not in self.said().removeprefix(before)

    def finish(self) -> str:
        """Wait for the end; hash of the weights."""
        assert self.driver.wait(2 * PATIENCE) == 0, self.said()[-3000:]
        return hashlib.sha256((self.root / "models/r2mrf/model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> str:
    with Run(tmp_path_factory.mktemp("undisturbed"), workers=2) as run:
        run.start()
        weights = run.finish()
    assert not list((run.root / "runs").iterdir())  # nothing of a finished run is kept
    history = (run.root / "reports/train/history.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in history] == ["step", *map(str, range(EVERY, STEPS + 1, EVERY))]
    return weights


@pytest.mark.parametrize("step", [2 * EVERY, EPOCH, STEPS - EVERY], ids=["mid-epoch", "end of an epoch", "last report"])
def test_worker_killed(tmp_path, undisturbed, step):
    with Run(tmp_path, workers=2) as run:
        run.start()
        os.kill(run.await_step(step), signal.SIGKILL)
        assert run.finish() == undisturbed


def test_worker_killed_while_it_writes_its_state(tmp_path, undisturbed):
    with Run(tmp_path, workers=2) as run:
        run.start()
        worker = run.await_step(EVERY)
        before = run.states()
        while run.states() == before:  # the folder of the next state appears before what belongs in it
            time.sleep(0.001)
        os.kill(worker, signal.SIGKILL)
        assert run.finish() == undisturbed


def test_workers_that_come_and_go(tmp_path, undisturbed):
    with Run(tmp_path, workers=[1, 2]) as run:  # there is room for both
        run.start()
        os.kill(run.await_step(2 * EVERY), signal.SIGKILL)
        assert run.finish() == undisturbed


def test_driver_killed_then_started_again(tmp_path, undisturbed):
    with Run(tmp_path, workers=2) as run:
        run.start()
        run.await_step(2 * EVERY)
        run.kill()
        run.go_on(undisturbed)


def test_driver_killed_while_ray_wrote_its_list(tmp_path, undisturbed):
    with Run(tmp_path, workers=2) as run:
        run.start()
        run.await_step(3 * EVERY)
        run.kill()
        (listed,) = (run.root / "runs").glob(f"train-*/{LIST}")
        listed.write_bytes(listed.read_bytes()[: listed.stat().st_size // 2])
        run.go_on(undisturbed)


def test_states_on_s3(tmp_path, undisturbed):
    with s3_server() as options, Run(tmp_path, workers=2) as run:
        run.set({"tracking": {"states": f"s3://team/states?{options}"}})
        run.start()
        os.kill(run.await_step(2 * EVERY), signal.SIGKILL)
        run.await_step(3 * EVERY)
        run.kill()
        run.go_on(undisturbed)
        assert not (run.root / "runs").exists()


def test_starts_from_a_model_in_a_folder_nearby(tmp_path, undisturbed):
    with Run(tmp_path, workers=2) as run:
        run.start()
        assert run.finish() == undisturbed
        (run.root / "models/r2mrf").rename(run.root / "models/first")
        run.set({"lite": {"train": {"start": "models/first"}}})
        run.start()
        assert run.finish() != undisturbed


@pytest.mark.usefixtures("ctrl_c")
def test_interrupted_and_then_other_parameters(tmp_path):
    with Run(tmp_path, workers=1) as run:
        run.start()
        run.await_step(EVERY)
        run.driver.send_signal(signal.SIGINT)
        assert run.driver.wait(PATIENCE) == 130
        assert "stopped; the same command goes on from here" in run.said()
        (state,) = (run.root / "runs").iterdir()
        run.set({"seed": 7})
        run.start()
        run.finish()
        assert f"{Path('runs') / state.name}: state of a run with other data" in run.said()
        assert state.is_dir()


def test_loss_that_is_not_finite_ends_the_training_once(tmp_path):
    with Run(tmp_path, workers=1) as run:
        run.set({"lite": {"train": {"lr": 1e30, "backbone_lr": 1e30, "clip_norm": 0.0, "precision": "fp32"}}})
        run.start()
        assert run.driver.wait(PATIENCE) == 2
        assert re.search(r"error: loss not finite at step \d+: fused ", run.said())
        assert "Traceback" not in run.said()


def test_too_many_held_back_is_one_line(tmp_path):
    run = Run(tmp_path, workers=1)
    run.set({"lite": {"train": {"validation": 4}}})
    said = run.run("python", "-m", "pipelines.train", status=2)
    assert said == "error: train.validation 4 leaves nothing of 4 pairs to learn from: lower it\n"
