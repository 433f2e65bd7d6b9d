"""Training with Ray Train is training: two workers, one of them killed, against a plain loop of one process."""

import contextlib
import hashlib
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import multiprocessing

from pipelines import train
from pipelines.cluster.ray_cluster import user_error_in
from pipelines.registry import runs
from pipelines.storage.outputs import local_copy
from pipelines.training import run, tables, worker
from pipelines.training.states import States
from r2mrf import config
from r2mrf.config import Config
from r2mrf.data import shards
from r2mrf.data.batches import Batch
from r2mrf.errors import UserError
from r2mrf.imaging import images
from r2mrf.network import checkpoint
from r2mrf.training.trainer import NotFinite, Trainer
from tests.support.model import save_tiny_model
from tests.support.planted import training_images
from tests.support.training_run import EVERY, UNEVEN, Run, assert_learnt, plain_loop

SHORT = 16  # steps


def test_two_workers_match_a_plain_loop_after_one_is_killed(tmp_path):
    with Run(tmp_path, workers=2, steps=SHORT) as run:
        run.set(UNEVEN | {"seed": 7})
        further_images(tmp_path / "further", ["a", "b"])
        run.set({"lite": {"train": {"mix": [{"folder": "further", "share": 0.25}]}}})
        run.start()
        worker = run.await_step(2 * EVERY)
        assert "Traceback" not in run.said()  # later, the worker that is left may show the connection that it lost
        os.kill(worker, signal.SIGKILL)
        run.finish()
    ours = config.load(tmp_path / "params.yaml")
    with contextlib.chdir(tmp_path):
        plain = plain_loop(ours)
    assert_learnt(tmp_path, plain)
    table = [line.split(",") for line in (tmp_path / "reports/train/history.csv").read_text().splitlines()]
    for name in ("val_mae", "val_f_05"):
        reported = [float(line[table[0].index(name)]) for line in table[1:]]
        assert reported == pytest.approx([figures[name] for figures in plain.history], abs=1e-3)
    number = r"\d[\d.e+-]*"
    figures = ("loss", "loss_fused", "images_per_second", "waiting", "val_mae", "val_f_05")
    line = ", ".join(f"{name} {number}" for name in figures)
    assert re.search(rf"step {SHORT - EVERY}/{SHORT}: {line}, \d+ s left", run.said())
    for complaint in ("core_worker", "PlacementGroupCleaner", "INFO"):
        assert complaint not in run.said()


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Config:
    """Make training images in a folder of their own; return the parameters of a training of two steps."""
    monkeypatch.chdir(tmp_path)
    training_images(Path("data/augmented"))
    model = {"weights": "random", "amdf_width": 4, "width": 2, "steps": 2, "input_size": 64}
    return config.load(Path(__file__).parents[2] / "params.yaml").but(
        model=model, train={"steps": 2, "report_every": 2, "batch": 2, "crop": 48, "validation": 1, "precision": "fp32"}
    )


def key_of(config: Config, data: str = "of images") -> str:
    return run.run_key(config, [data], run.recipe_of(config, [data]))


def fitted(config: Config) -> Trainer:
    """Return what `run.fit` returns, without Ray."""
    trainer = plain_loop(config)
    trainer.history[-1] |= {"step": 2, "loss": 1.0, "loss_fused": 1.0, "images_per_second": 1.0}
    return trainer


@pytest.mark.parametrize("storage", ["", "shared"])
def test_a_finished_training_does_not_run_again(workspace, monkeypatch, capsys, storage):
    trained = []
    workspace = workspace.model_copy(update={"storage": storage and str(Path(storage).resolve())})

    def fit(config: Config, key: str, states) -> Trainer:
        trained.append(key)
        return fitted(config)

    monkeypatch.setattr(train, "fit", fit)
    train.train(workspace)
    before = checkpoint.load(local_copy(train.MODEL)).sha256
    train.train(workspace)
    assert len(trained) == 1 and "trained already" in capsys.readouterr().out
    train.train(workspace.but(train={"lr": 0.5}))
    assert len(set(trained)) == 2 and checkpoint.load(local_copy(train.MODEL)).sha256 != before


@pytest.mark.parametrize("storage", ["", "shared"])
def test_states_are_removed_when_the_model_is_safe(workspace, monkeypatch, storage):
    """A model in a storage is safe once its receipt is uploaded, which happens after the stage."""
    workspace = workspace.model_copy(update={"storage": storage and str(Path(storage).resolve())})

    def fit(config: Config, key: str, states: States) -> Trainer:
        Path(states.storage, states.name).mkdir(parents=True)
        return fitted(config)

    monkeypatch.setattr(train, "fit", fit)
    train.train(workspace)
    assert len(list(Path("runs").iterdir())) == bool(storage)
    train.train(workspace)
    assert not list(Path("runs").iterdir())


def test_a_stage_killed_before_its_model_is_complete_runs_again(workspace, monkeypatch):
    monkeypatch.setattr(train, "fit", lambda config, key, states: fitted(config))
    train.train(workspace)
    before = checkpoint.load(train.MODEL).sha256
    changed = workspace.but(train={"lr": 0.5})
    with monkeypatch.context() as broken, pytest.raises(RuntimeError):
        broken.setattr(checkpoint, "save", interrupted)
        train.train(changed)
    train.train(changed)
    assert checkpoint.load(train.MODEL).sha256 != before


def interrupted(*_) -> None:
    raise RuntimeError("killed")


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"data": "of other images"},
        {"model": {"width": 3}},
        {"train": {"steps": 3}},
        {"train": {"precision": "bf16"}},
        {"train": {"validation": 2}},
        {"train": {"start": "another"}},
        {"code": True},
    ],
    ids=str,
)
def test_other_data_parameters_or_code_are_another_run(workspace, monkeypatch, tmp_path, change):
    change = dict(change)
    before = key_of(workspace, "of images")
    if change.pop("code", None):
        (tmp_path / "worker.py").write_text(Path(worker.__file__).read_text() + "\nCHANGED = 1\n")
        monkeypatch.setattr(worker, "__file__", str(tmp_path / "worker.py"))
    if change.get("train") == {"start": "another"}:
        save_tiny_model(tmp_path / "another")
    data = change.pop("data", "of images")
    changed = workspace.model_copy(update={"seed": change.pop("seed", workspace.seed)}).but(**change)
    assert key_of(changed, data) != before


def further_images(folder: Path, sources: list[str]) -> None:
    """Return training images of these sources, all sharp."""
    photo, mask = images.encode_jpeg(np.zeros((64, 64, 3), np.uint8)), images.encode_png(np.zeros((64, 64), np.uint8))
    digest = hashlib.sha256(photo + mask).hexdigest()
    row = dict.fromkeys(shards.VARIANTS.names) | {"variant": 0, "image": photo, "mask": mask, "sha256": digest}
    folder.mkdir(parents=True)
    rows = [row | {"source_id": name} for name in sources]
    shards.write(folder / "train-00000.parquet", rows, shards.VARIANTS, "made by a test")


def test_pairs_held_back_are_left_out_of_further_tables_too(workspace):
    further_images(Path("further"), ["source-0", "source-1", "source-2", "source-3", "elsewhere"])
    ours = workspace.but(train={"mix": [{"folder": "further", "share": 0.5}]})
    found = tables.read(ours, tables.folders(ours))
    (held,) = found.held_back["source_id"].to_pylist()
    ((others, share),) = found.others
    assert share == 0.5
    assert sorted(others["source_id"].to_pylist()) == sorted(
        {"source-0", "source-1", "source-2", "source-3", "elsewhere"} - {held}
    )


def test_other_further_images_or_another_share_are_another_run(workspace):
    def key(share: float) -> str:
        ours = workspace.but(train={"mix": [{"folder": "further", "share": share}]})
        data = tables.fingerprints(ours)
        return run.run_key(ours, data, run.recipe_of(ours, data))

    further_images(Path("further"), ["a"])
    keys = [key(0.5), key(0.25)]
    Path("further").rename("elsewhere")
    further_images(Path("further"), ["b"])
    assert len({*keys, key(0.5)}) == 3


def test_a_changed_training_image_is_not_trained_on(workspace):
    further_images(Path("further"), ["a", "b"])
    rows = shards.read(Path("further")).to_pylist()
    rows[1]["mask"] = rows[1]["mask"][:-1] + b"x"
    shards.write(Path("further/train-00000.parquet"), rows, shards.VARIANTS, "made by a test")
    ours = workspace.but(train={"mix": [{"folder": "further", "share": 0.5}]})
    with pytest.raises(UserError, match=r"further: damaged \(the photo or mask of b is not what was written"):
        tables.read(ours, tables.folders(ours))


def test_a_missing_folder_of_further_images_is_named_before_ray_starts(workspace):
    with pytest.raises(UserError, match=r"nowhere/\*\.parquet: no such files"):
        train.train(workspace.but(train={"mix": [{"folder": "nowhere", "share": 0.5}]}))


def test_another_backbone_under_the_same_name_is_another_run(workspace):
    file = Path("backbone.safetensors")
    keys = set()
    for content in (b"one", b"two"):
        file.write_bytes(content)
        keys.add(key_of(workspace.but(model={"weights": str(file)}), "of images"))
    assert len(keys) == 2


def test_how_many_workers_there_are_changes_nothing(workspace):
    keys = {key_of(workspace.but(train={"workers": n}), "of images") for n in (1, 2, (1, 2))}
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("there", "workers", "said"), [(0, 2, "processors"), (2, 2, "2 GPUs"), (3, (1, 4), "3 GPUs"), (8, 1, "1 GPU\n")]
)
def test_where_it_trains_is_said(monkeypatch, capsys, there, workers, said):
    monkeypatch.setattr(run, "gpus", lambda: there)
    assert run.on_gpus(workers) == (there > 0)
    assert said in capsys.readouterr().out


def test_fewer_gpus_than_workers_are_refused(monkeypatch):
    monkeypatch.setattr(run, "gpus", lambda: 1)
    with pytest.raises(UserError, match=r"train\.workers 2: the cluster has only 1 GPUs"):
        run.on_gpus(2)


def test_the_first_cause_of_an_error_is_found():
    inner, outer = UserError("mend this"), RuntimeError("of Ray")
    outer.__cause__ = ValueError("between")
    outer.__cause__.__cause__ = inner
    assert user_error_in(outer) is inner
    assert user_error_in(ValueError("a bug of ours")) is None


def say(rank: int, errors: list[NotFinite], address: str, heard) -> None:
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=len(errors))
    heard.put(worker.first_not_finite(errors[rank]))
    dist.destroy_process_group()


def test_all_workers_name_the_terms_of_a_loss_that_is_not_finite(workspace, tmp_path):
    trainer = Trainer(workspace, "of a test")
    nowhere = Batch(torch.full((1, 3, 64, 64), torch.nan), torch.zeros(1, 1, 64, 64))
    with pytest.raises(NotFinite) as raised:
        trainer.train_step(trainer.network, nowhere)
    worst = raised.value
    # the others' terms are finite, the gradient that they share is not
    other = NotFinite(worst.step, dict.fromkeys(worst.terms, 0.1), worst.gradient_norm)
    context = multiprocessing.get_context("spawn")
    heard = context.Queue()
    given = ([other, worst], f"file://{tmp_path}/rendezvous", heard)
    processes = [context.Process(target=say, args=(rank, *given), daemon=True) for rank in range(2)]
    for process in processes:
        process.start()
    assert [heard.get(timeout=120) for _ in processes] == [str(worst)] * 2


def test_a_server_that_is_away_at_the_end_costs_no_model(workspace, capsys):
    Path("a file").touch()  # so that nobody can make a folder of this name, not even root
    uri = f"sqlite:///{Path('a file').resolve()}/mlflow.db"
    runs.finish(workspace.tracking.model_copy(update={"uri": uri}), "run-1", "FINISHED")
    assert f"warning: run run-1 stays open: tracking server {uri}" in capsys.readouterr().err
