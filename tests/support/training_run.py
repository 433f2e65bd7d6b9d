"""A run of a stage on real processes, for a test to disturb, and the plain loop that training must agree with."""

import hashlib
import json
import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import torch
from safetensors.torch import load_file

from pipelines.training.states import LIST
from r2mrf.config import Config
from r2mrf.data import shards
from r2mrf.data.batches import Samples, batch_positions, split
from r2mrf.evaluation.metrics import HALF, f_at
from r2mrf.training.trainer import Trainer, validate
from tests.support.patience import PATIENCE
from tests.support.planted import training_images
from tests.support.workspace import Workspace

STEPS, EVERY = 40, 4

# Three images a step: one worker takes two, the other one. SGD, since Adam divides by what may be rounding alone.
UNEVEN = {"lite": {"train": {"batch": 3, "optimizer": "sgd", "lr": 0.02, "backbone_lr": 0.002, "precision": "fp32"}}}


class Run(Workspace):
    """One training run in a workspace of its own; or one of another stage."""

    stage = "train"
    driver: subprocess.Popen | None = None

    def __init__(self, root: Path, workers: int | list[int], steps: int = STEPS):
        super().__init__(root)
        self.steps = steps
        self.command = ["python", "-m", f"pipelines.{self.stage}"]
        self.set({"lite": {"train": {"workers": workers, "steps": steps, "report_every": EVERY}}})
        training_images(root / "data/augmented")

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *error) -> None:
        if self.driver:
            with suppress(ProcessLookupError):  # if it still runs: its cluster notices and ends
                os.killpg(self.driver.pid, signal.SIGKILL)
            self.driver.wait()

    def start(self) -> None:
        """Start the stage in a process group of its own; its output goes to driver.log."""
        with (self.root / "driver.log").open("a") as log:
            self.driver = subprocess.Popen(
                self.command, cwd=self.root, env=self.env, stdout=log, stderr=log, start_new_session=True
            )

    def said(self) -> str:
        return (self.root / "driver.log").read_text()

    def states(self) -> set[Path]:
        return {path for path in (self.root / "runs").glob("train-*/checkpoint_*") if path.is_dir()}

    def list_of_states(self) -> Path:
        """Return the file of Ray's list of states."""
        (path,) = (self.root / "runs").glob(f"train-*/{LIST}")
        return path

    def newest_state(self) -> Path:
        """Return the newest state of the list that is still there."""
        listed = self.list_of_states()
        names = [result["checkpoint_dir_name"] for result in json.loads(listed.read_text())["checkpoint_results"]]
        return next(state for name in reversed(names) if (state := listed.parent / name).is_dir())

    def await_step(self, step: int) -> int:
        """Wait until a step, or a later one, is reported; return the pid of the worker that reported it."""
        worker = self.worker_at(step)
        assert worker is not None, self.said()[-3000:]
        return worker

    def worker_at(self, step: int) -> int | None:
        """Do as `await_step`, or return None if the run ends first.

        The line of a step may be lost, if its worker is killed at once or the run ends soon afterwards.
        """
        end = time.monotonic() + PATIENCE
        while self.driver.poll() is None:
            assert time.monotonic() < end, self.said()[-3000:]
            for pid, reported in re.findall(rf"pid=(\d+)\).*step (\d+)/{self.steps}:", self.said()):
                if int(reported) >= step:
                    return int(pid)
            time.sleep(0.05)
        return None

    def await_state(self, before: set[Path]) -> None:
        """Wait until a state is listed that was not there before."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.driver.poll() is None:
            with suppress(ValueError, StopIteration):  # there is no list yet, or half of one, or its states are gone
                if self.newest_state() not in before:
                    return
            time.sleep(0.05)
        raise AssertionError(self.said()[-3000:])

    def kill(self) -> None:
        """Kill the driver, and wait until its cluster has noticed and ended."""
        family = psutil.Process(self.driver.pid).children(recursive=True)
        self.driver.kill()
        self.driver.wait()
        psutil.wait_procs(family, timeout=PATIENCE)

    def go_on(self, undisturbed: str) -> None:
        """Start again, and check that the run resumes and ends with these weights."""
        before = self.said()
        self.start()
        assert self.finish() == undisturbed
        assert f"step {EVERY}/{self.steps}:" not in self.said().removeprefix(before)

    def finish(self) -> str:
        """Wait for the end; return the hash of the weights."""
        assert self.driver.wait(2 * PATIENCE) == 0, self.said()[-3000:]
        return hashlib.sha256((self.root / "models/r2mrf/model.safetensors").read_bytes()).hexdigest()


def plain_loop(config: Config) -> Trainer:
    """Train in this process, in the folder that it is in, without Ray."""
    trainer = Trainer(config, "of a test")
    learn, held_back = split(shards.read(Path("data/augmented")), config.train.validation, config.seed)
    others = [(shards.read(Path(other.folder)), other.share) for other in config.train.mix]
    samples = Samples(learn, trainer.preprocess, config.train.crop, config.run_seed, others)
    for step in range(config.train.steps):
        trainer.train_step(trainer.network, samples.batch(batch_positions(step, config.train.batch)))
        if trainer.step % config.train.report_every == 0:
            every = range(held_back.num_rows)
            counts = validate(trainer.averaged_network(), held_back, every, trainer.preprocess, "fp32")
            figures = {"val_mae": [c.absolute_error for c in counts], "val_f_05": [f_at(c, HALF) for c in counts]}
            trainer.history.append({name: sum(values) / len(values) for name, values in figures.items()})
    return trainer


def assert_learnt(root: Path, plain: Trainer) -> None:
    """Check that the model in a workspace equals the plain loop's, up to the order in which numbers were added."""
    begun = Trainer(plain.config, "of a test").averaged.values
    learnt, expected = load_file(root / "models/r2mrf/model.safetensors"), plain.averaged.values
    apart, moved = (
        torch.stack([(values[name] - expected[name]).norm() for name in expected]).norm() for values in (learnt, begun)
    )
    assert apart <= 0.01 * moved
