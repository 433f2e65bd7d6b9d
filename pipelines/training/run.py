"""A Ray Train run on a cluster, which resumes from its last checkpoint."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from ray.train import (
    CheckpointConfig,
    FailureConfig,
    LoggingConfig,
    RunConfig,
    ScalingConfig,
    TrainingFailedError,
    UserCallback,
)
from ray.train.torch import TorchTrainer

from pipelines.cluster.ray_cluster import LOGICAL_CPUS, connect, gpus, in_a_job, user_error_in
from pipelines.registry import runs
from pipelines.training import tables, worker
from pipelines.training.recipe import NOT_IN_FINGERPRINT
from pipelines.training.states import States, local_state
from r2mrf.config import Config
from r2mrf.errors import UserError, one_line
from r2mrf.network.precision import resolve_precision
from r2mrf.system.fingerprint import fingerprint, of_code, of_files, of_module
from r2mrf.system.machine import cores
from r2mrf.training.trainer import Trainer, starting_point

# Read when a worker starts. The settings of glibc's allocator keep freed memory: Ray Train runs its function in a
# thread, whose freed memory glibc returns at once; getting it back took a tenth of the worker's time. The last one is
# explained in pipelines/__init__.py, which a worker imports too late for it.
WORKER_ENVIRONMENT = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}
WORKER_ENVIRONMENT |= {"GOMP_SPINCOUNT": os.environ["GOMP_SPINCOUNT"]}


def with_resolved_precision(config: Config) -> Config:
    """Replace `auto` by the precision that it means on this machine; all workers of a run use the same."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return config.but(train={"precision": resolve_precision(config.train.precision, device)})


def recipe_of(config: Config, data: list[str]) -> dict:
    """Return the values of `train` that affect the weights; files that it names are represented by their hashes.

    Args:
        data: fingerprints of the folders of training images, from `tables.fingerprints`.
    """
    begun = starting_point(config)
    mix = [{"data": found, "share": other.share} for found, other in zip(data[1:], config.train.mix, strict=True)]
    return config.train.model_dump(exclude=NOT_IN_FINGERPRINT) | {"start": begun.sha256 if begun else "", "mix": mix}


def run_key(config: Config, data: list[str], recipe: dict) -> str:
    """Return the fingerprint of everything that a training run depends on; `data` and `recipe` as in `recipe_of`."""
    model, backbone = config.model.model_dump(), Path(config.model.weights)
    files = of_files([backbone] if backbone.is_file() else [])
    code = of_code("training.trainer", "data.batches") | {"worker": of_module(Path(worker.__file__))}
    return fingerprint(config.seed, model, files, recipe, data, code)


def fit(config: Config, key: str, states: States, stage: str = "train") -> Trainer:
    """Train to the end, or resume from the last of `states`; return the trainer in its final state.

    Args:
        config: configuration with a resolved precision.
        key: fingerprint of the run.
        stage: the stage that trains; MLflow's runs are tagged with it.
    """
    run_id = runs.run_for(config, stage, key)
    with (
        runs.killed_if_interrupted(config.tracking, run_id),
        connect(logical_cpus=LOGICAL_CPUS + config.train.most_workers, training=True),
        _own_ctrl_c(),
    ):
        try:
            result = training_run(config, key, states, [runs.LogReports(config.tracking, run_id)]).fit()
        except SystemExit:  # Ray's response to Ctrl-C
            raise KeyboardInterrupt from None
        except TrainingFailedError as error:
            runs.finish(config.tracking, run_id, "FAILED")
            raise _reason(error) from error
    stopped = (result.return_value or {}).get("not_finite")
    runs.finish(config.tracking, run_id, "FAILED" if stopped else "FINISHED")
    if stopped:
        raise UserError(stopped)
    with local_state(result.checkpoint.path, result.checkpoint.filesystem) as state:
        return Trainer(config, key, state=state)


@contextmanager
def _own_ctrl_c() -> Iterator[None]:
    """Restore Python's handling of Ctrl-C at the end, because Ray Train keeps its own even after its run."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


def _reason(error: TrainingFailedError) -> UserError:
    """Return why a run was given up: the UserError that a worker raised, or else the text of the error on one line."""
    failures = getattr(error, "worker_failures", {}).values()
    mistakes = (mistake for failure in failures if (mistake := user_error_in(failure)))
    why = one_line(error, 400, end=True)
    return next(mistakes, UserError(f"training was given up after train.max_failures restarts: … {why}"))


def training_run(config: Config, key: str, states: States, callbacks: list[UserCallback]) -> TorchTrainer:
    """Return a run on the connected cluster, ready to `fit`, from the last of `states` or from the start.

    Raises:
        UserError: the cluster has GPUs, but fewer than there are workers.
    """
    arguments: dict = {"config": config.model_dump(), "key": key, "folders": tables.folders(config)}
    arguments |= {"storage": states.storage, "recovered": states.recover(), "here": str(Path.cwd())}
    return TorchTrainer(
        worker.work,
        train_loop_config=arguments,
        scaling_config=ScalingConfig(num_workers=config.train.workers, use_gpu=on_gpus(config.train.workers)),
        run_config=RunConfig(
            name=states.name,
            storage_path=states.storage,
            failure_config=FailureConfig(max_failures=config.train.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
            callbacks=callbacks,
            worker_runtime_env={"env_vars": WORKER_ENVIRONMENT},
            logging_config=LoggingConfig(log_level="ERROR"),
        ),
    )


def on_gpus(workers: int | tuple[int, int]) -> bool:
    """Return whether each worker gets a GPU, and print it; on a cluster without GPUs, all train on processors.

    Raises:
        UserError: the cluster has GPUs, but fewer than there are workers.
    """
    fewest, most = workers if isinstance(workers, tuple) else (workers, workers)
    there = gpus()
    if 0 < there < fewest:
        raise UserError(
            f"train.workers {fewest}: the cluster has only {there} GPUs: lower train.workers, or hide the GPUs "
            "(CUDA_VISIBLE_DEVICES=) to train on processors"
        )
    used = min(there, most)
    print("training on " + (f"{used} GPU{'s' * (used > 1)}" if used else "processors: there is no GPU"), flush=True)
    return there > 0


def seconds_of(history: list[dict], batch: int) -> float:
    """Return the seconds spent on training itself, even if the run was stopped and resumed elsewhere."""
    before = [0, *(report["step"] for report in history)]
    return sum(
        (now["step"] - last) * batch / now["images_per_second"] for last, now in zip(before, history, strict=False)
    )


def device_of(threads: int) -> str:
    """Describe the device that a run trains on; `threads` is the number of torch threads, 0 for all cores."""
    if in_a_job():
        return "machines of a Ray cluster"
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    number = threads or cores()
    return f"{number} processor core{'s' * (number > 1)}"
