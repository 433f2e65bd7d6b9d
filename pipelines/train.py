"""Stage train: data-parallel training with Ray Train.

    python -m pipelines.train          # data/augmented -> models/r2mrf, reports/train

Stopped at any moment and started again, it goes on from the last checkpoint and ends with the weights of an
undisturbed run. The run's name is the fingerprint of data, parameters and code, so no other run's state is used.
"""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

from pipelines import plots, tracking, worker
from pipelines.cluster import connect
from pipelines.stage import AUGMENTED, MODEL, REPORTS, run, write_json
from r2mrf import checkpoint
from r2mrf.config import Config
from r2mrf.errors import UserError
from r2mrf.fingerprint import fingerprint, of_code, of_files
from r2mrf.trainer import Trainer

RUNS = Path("runs")  # states of unfinished runs; they outlive an interrupted stage and are removed at its end
CODE = (
    "backbones",
    "checkpoint",
    "config",
    "geometry",
    "images",
    "loss",
    "metrics",
    "model",
    "optim",
    "precision",
)
CODE += ("preprocess", "samples", "trainer")


def train(config: Config) -> None:
    sources = sorted(AUGMENTED.glob("*.parquet"))
    if not sources:
        raise UserError(f"{AUGMENTED} holds no training images: run `dvc repro augment` first")
    used = {"seed": config.seed, "model": config.model.model_dump(), "train": config.train.model_dump()}
    data = of_files(sources)
    key = fingerprint(used, data, of_code(*CODE))
    folder = RUNS.resolve() / f"train-{key[:16]}"
    for other in sorted(RUNS.glob("train-*")):
        if other.name != folder.name:
            print(f"{other}: state of a run with other data, parameters or code; not used, and may be deleted")
    trainer = fit(config, key, folder)
    facts = {
        "profile": config.profile,
        "data": fingerprint(data),
        "source": config.data.source,
        "fingerprint": key,
    }
    facts |= {"seed": config.seed, "steps": trainer.step, "recipe": config.train.model_dump()}
    checkpoint.save(MODEL, trainer.checkpoint(facts))
    report(trainer.history)
    shutil.rmtree(folder)
    print(f"{MODEL}: {checkpoint.load(MODEL).name} after {trainer.step} steps")


def fit(config: Config, key: str, folder: Path) -> Trainer:
    """Train to the end, or go on with what lies in `folder`; returns the trainer in its last state."""
    run_id = tracking.run_for(config, "train", key)
    with connect(training=True):
        from ray.train import (
            CheckpointConfig,
            FailureConfig,
            LoggingConfig,
            RunConfig,
            ScalingConfig,
            TrainingFailedError,
        )
        from ray.train.torch import TorchTrainer

        ray_trainer = TorchTrainer(
            worker.work,
            train_loop_config={"config": config.model_dump(), "key": key, "data": str(AUGMENTED.resolve())},
            scaling_config=ScalingConfig(num_workers=config.train.workers, use_gpu=worker.gpus_in_cluster() > 0),
            run_config=RunConfig(
                name=folder.name,
                storage_path=str(folder.parent),
                failure_config=FailureConfig(max_failures=config.train.max_failures),
                checkpoint_config=CheckpointConfig(num_to_keep=2),
                callbacks=[tracking.LogReports(config.tracking, run_id)],
                logging_config=LoggingConfig(log_level="ERROR"),
            ),
        )
        try:
            result = ray_trainer.fit()
        except TrainingFailedError as error:
            tracking.finish(config.tracking, run_id, "FAILED")
            raise UserError(f"training gave up after {config.train.max_failures} restarts: {error}") from error
    stopped = (result.return_value or {}).get("not_finite")
    tracking.finish(config.tracking, run_id, "FAILED" if stopped else "FINISHED")
    if stopped:
        raise UserError(stopped)
    trainer = Trainer(config, key)
    with result.checkpoint.as_directory() as state:
        trainer.load(Path(state))
    return trainer


def report(history: list[dict]) -> None:
    """Curves for `dvc plots show`, the same as a picture, and the last figures."""
    folder = REPORTS / "train"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "history.csv").open("w", newline="") as file:
        rows = csv.DictWriter(file, history[-1].keys())
        rows.writeheader()
        rows.writerows(history)
    plots.training_curves(history, folder / "history.png")
    write_json(folder / "metrics.json", history[-1])


if __name__ == "__main__":
    run(train)
