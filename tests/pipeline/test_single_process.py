"""A training run without Ray: a stopped run resumes and ends with the weights of an undisturbed one."""

import multiprocessing
from pathlib import Path

import pytest
import torch

from pipelines.training import single_process, worker
from r2mrf import config
from r2mrf.config import Config
from r2mrf.errors import UserError
from r2mrf.training.trainer import TENSORS, Trainer
from tests.support.planted import training_images
from tests.support.training_run import plain_loop

RUN = Path("runs/of-a-test")


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Config:
    """Make training images in a folder of their own; return the parameters of a training of six steps."""
    monkeypatch.chdir(tmp_path)
    training_images(Path("data/augmented"))
    RUN.mkdir(parents=True)
    model = {"weights": "random", "amdf_width": 4, "width": 2, "steps": 2, "input_size": 64}
    train = {"steps": 6, "report_every": 2, "batch": 2, "crop": 48, "validation": 1, "precision": "fp32"}
    return config.load(Path(__file__).parents[2] / "params.yaml").but(model=model, train=train)


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def assert_same(one: Trainer, other: Trainer) -> None:
    for name, value in one.averaged.values.items():
        assert torch.equal(value, other.averaged.values[name])


def stop_at(step: int, monkeypatch) -> None:
    """End training in the middle of a step, as if it were killed."""
    learn = Trainer.train_step

    def train_step(self, *arguments, **options):
        if self.step == step:
            raise KeyboardInterrupt
        return learn(self, *arguments, **options)

    monkeypatch.setattr(Trainer, "train_step", train_step)


def test_it_learns_what_a_plain_loop_learns(workspace):
    assert_same(single_process.train(workspace, "key", RUN, threads=1), plain_loop(workspace))


def test_a_stopped_training_resumes_from_its_last_report(workspace, monkeypatch):
    undisturbed = plain_loop(workspace)
    with monkeypatch.context() as stopped, pytest.raises(KeyboardInterrupt):
        stop_at(5, stopped)
        single_process.train(workspace, "key", RUN, threads=1)
    assert [path.name for path in RUN.glob("state-*")] == ["state-0000004"]
    with monkeypatch.context() as counted:
        stop_at(3, counted)  # it must not come there again
        went_on = single_process.train(workspace, "key", RUN, threads=1)
    assert_same(went_on, undisturbed)
    assert [line["step"] for line in went_on.history] == [2, 4, 6]


@pytest.mark.parametrize("key", ["key", "of other code"])
def test_a_damaged_state_and_one_of_other_code_are_not_used(workspace, monkeypatch, capsys, key):
    with monkeypatch.context() as stopped, pytest.raises(KeyboardInterrupt):
        stop_at(5, stopped)
        single_process.train(workspace, "key", RUN, threads=1)
    if key == "key":
        tensors = RUN / "state-0000004" / TENSORS
        tensors.write_bytes(tensors.read_bytes()[:-1] + b"!")
    assert_same(single_process.train(workspace, key, RUN, threads=1), plain_loop(workspace))
    assert "state-0000004: not used: " in capsys.readouterr().out


def test_a_run_that_another_process_trains_is_left_to_it(workspace):
    context = multiprocessing.get_context("spawn")
    with single_process.locked(RUN):
        other = context.Process(target=hold_lock, args=(RUN.resolve(),))
        other.start()
        other.join(120)
        assert other.exitcode == 7
    with single_process.locked(RUN):  # and is free again afterwards
        pass


def hold_lock(folder: Path) -> None:
    try:
        with single_process.locked(folder):
            raise SystemExit(0)
    except single_process.BusyError:
        raise SystemExit(7) from None


def test_a_loss_that_is_not_finite_is_a_sentence(workspace, monkeypatch):
    monkeypatch.setattr(worker, "prefetch", lambda samples, *rest: iter([broken(samples)]))
    with pytest.raises(UserError, match="loss not finite at step 0"):
        single_process.train(workspace, "key", RUN, threads=1)


def broken(samples):
    batch = samples.batch(range(2))
    return batch._replace(photos=torch.full_like(batch.photos, torch.nan))
