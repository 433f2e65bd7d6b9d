"""Disturbed training ends with the weights of undisturbed training, bit for bit, on real processes."""

import contextlib
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from r2mrf import config
from r2mrf.training.trainer import TENSORS
from tests.support.object_store import s3_server
from tests.support.patience import PATIENCE
from tests.support.training_run import EVERY, STEPS, UNEVEN, Run, assert_learnt, plain_loop

EPOCH = 24  # steps after which all images were seen a whole number of times: 12 to learn from, 2 a step


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


@pytest.mark.parametrize(("workers", "then"), [(1, 2), (2, 1)])
def test_goes_on_with_another_number_of_workers(tmp_path, workers, then):
    with Run(tmp_path, workers=workers) as run:
        run.set(UNEVEN)
        run.start()
        run.await_step(4 * EVERY)
        run.kill()
        run.set({"lite": {"train": {"workers": then}}})
        run.start()
        run.finish()
        assert f"step {EVERY}/{STEPS}:" not in run.said().partition(f"step {4 * EVERY}/{STEPS}:")[2]
    with contextlib.chdir(tmp_path):
        plain = plain_loop(config.load("params.yaml"))
    assert_learnt(tmp_path, plain)


def test_driver_killed_then_started_again(tmp_path, undisturbed):
    with Run(tmp_path, workers=2) as run:
        run.start()
        run.await_step(2 * EVERY)
        run.kill()
        run.go_on(undisturbed)


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("lost", ["list", "end of the newest state", "newest state"])
def test_states_damaged_twice(tmp_path, undisturbed, lost):
    """The states left after a power failure suffice, even if training stops again before its next report."""
    with Run(tmp_path, workers=2) as run:
        run.start()
        run.await_step(4 * EVERY)
        for _ in range(2):
            run.kill()
            if lost == "list":
                cut_in_half(run.list_of_states())
            elif lost == "newest state":
                shutil.rmtree(run.newest_state())
            else:
                cut_in_half(run.newest_state() / TENSORS)
            before = run.states()
            run.start()
            run.await_state(before)
        run.kill()
        run.go_on(undisturbed)


def test_list_lost_after_the_last_report(tmp_path, undisturbed):
    with Run(tmp_path, workers=2) as run:
        in_the_way = tmp_path / "reports/train/history.csv"  # a folder, so that the curves cannot be written
        in_the_way.mkdir(parents=True)
        run.start()
        assert run.driver.wait(PATIENCE) != 0
        assert f"step {STEPS}/{STEPS}:" in run.said()
        run.list_of_states().write_bytes(b"")
        in_the_way.rmdir()
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


def test_interrupted_and_repeated_through_dvc(tmp_path, undisturbed):
    """Ctrl-C reaches DVC, the stage and its cluster alike, as at a terminal."""
    with Run(tmp_path, workers=2) as run:
        run.command = ["dvc", "repro", "--single-item", "train"]
        shutil.copytree(run.root / "released/search/reports/tune", run.root / "reports/tune")  # a dependency
        run.run("git", "init", "--quiet")
        run.start()
        run.await_step(2 * EVERY)
        os.killpg(run.driver.pid, signal.SIGINT)
        assert run.driver.wait(PATIENCE) != 0
        run.go_on(undisturbed)


def test_interrupted_and_then_other_parameters(tmp_path):
    with Run(tmp_path, workers=1) as run:
        run.start()
        run.await_step(EVERY)
        run.driver.send_signal(signal.SIGINT)
        assert run.driver.wait(PATIENCE) == 130
        assert "stopped: run the same command again to resume" in run.said()
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
    assert said == "error: train.validation 4 leaves none of 4 pairs to train on: lower it\n"
