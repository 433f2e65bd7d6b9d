"""Stage train: data-parallel training with Ray Train.

    python -m pipelines.train          # data/augmented -> models/r2mrf, reports/train

Stopped at any moment and started again, it goes on from the last checkpoint and ends with the weights of an
undisturbed run. The run's name is the fingerprint of data, parameters and code, so no other run's state is used.
"""

from __future__ import annotations

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

from pipelines import plots, tracking, worker
from pipelines.cluster import ROOM, connect, gpus, mistake_in
from pipelines.stage import AUGMENTED, MODEL, NO_MATTER, REPORTS, decided, fingerprint_of, main, write_csv, write_json
from pipelines.states import States
from pipelines.storage import folder, here, making
from r2mrf import checkpoint, shards
from r2mrf.config import Config
from r2mrf.errors import UserError
from r2mrf.fingerprint import fingerprint, of_code, of_files, of_module
from r2mrf.precision import resolve
from r2mrf.samples import split
from r2mrf.trainer import Trainer, starting_point

CURVES = REPORTS / "train"

# Of glibc, read when a worker starts: what is freed is kept. Ray Train runs its function in a thread, whose freed
# memory glibc gives back at once; fetching it anew took a tenth of the worker's time.
KEEP_MEMORY = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}


def train(config: Config) -> None:
    """The stage: trains to the end, or goes on; leaves the model, its curves, and no states."""
    config = settled(decided(config))
    pairs = shards.read(here(AUGMENTED), columns=["source_id", "variant"])
    split(pairs, config.train.validation, config.seed)  # refused here, before Ray starts
    data = fingerprint_of(AUGMENTED)
    recipe = _recipe_of(config)
    key = run_key(config, data)
    states = States(config.tracking.states, f"train-{key[:16]}")
    if _is_done(config, key):
        print(f"{MODEL}: trained already, from the same data, parameters and code")
        states.remove()
        return
    for other in states.others():
        where = f"{config.tracking.states}/{other}"
        print(
            f"{where}: state of a run with other data, parameters or code; not used, and may be deleted if none goes on"
        )
    trainer = fit(config, key, states)
    facts: dict = {"profile": config.profile, "source": config.data.source, "data": data, "fingerprint": key}
    facts |= {"seed": config.seed, "steps": trainer.step, "workers": config.train.workers, "recipe": recipe}
    _report(trainer.history)
    with making(MODEL, config.storage) as target:  # last: a model that is there is done
        checkpoint.save(target, trainer.checkpoint(facts))
    states.remove()
    print(f"{MODEL}: {checkpoint.load(here(MODEL)).name} after {trainer.step} steps")


def settled(config: Config) -> Config:
    """With the number format that `auto` means on this machine: a run has one, wherever its workers are."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return config.but(train={"precision": resolve(config.train.precision, device)})


def _recipe_of(config: Config) -> dict:
    """The values of `train` that change a weight."""
    begun = starting_point(config)
    return config.train.model_dump(exclude=NO_MATTER) | {"start": begun.sha256 if begun else ""}


def run_key(config: Config, data: str) -> str:
    """Fingerprint of all that a training run depends on."""
    model, backbone = config.model.model_dump(), Path(config.model.weights)
    files = of_files([backbone] if backbone.is_file() else [])
    code = of_code("trainer", "samples") | {"worker": of_module(Path(worker.__file__))}
    return fingerprint(config.seed, model, files, _recipe_of(config), data, code)


def _is_done(config: Config, key: str) -> bool:
    """Whether the model that is there is the one that this run would make."""
    try:
        return not config.storage and checkpoint.load(here(MODEL)).training.get("fingerprint") == key
    except UserError:
        return False


def fit(config: Config, key: str, states: States, stage: str = "train") -> Trainer:
    """Train to the end, or go on from the last of `states`; returns the trainer in its last state.

    `stage`: that trains, by which MLflow tells its runs apart.
    """
    config = settled(config)
    run_id = tracking.run_for(config, stage, key)
    with connect(logical_cpus=ROOM + config.train.most_workers, training=True), _own_ctrl_c():
        try:
            result = training_run(config, key, states, [tracking.LogReports(config.tracking, run_id)]).fit()
        except SystemExit:  # Ray's answer to Ctrl-C
            raise KeyboardInterrupt from None
        except TrainingFailedError as error:
            tracking.finish(config.tracking, run_id, "FAILED")
            raise _reason(error) from error
    stopped = (result.return_value or {}).get("not_finite")
    tracking.finish(config.tracking, run_id, "FAILED" if stopped else "FINISHED")
    if stopped:
        raise UserError(stopped)
    with result.checkpoint.as_directory() as state:
        return Trainer(config, key, state=Path(state))


@contextmanager
def _own_ctrl_c() -> Iterator[None]:
    """Ray Train answers Ctrl-C itself, and would still do so when its run has ended."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


def _reason(error: TrainingFailedError) -> UserError:
    """Why a run was given up: a user's mistake that a worker has met, as it is; else what was raised, in a line."""
    failures = getattr(error, "worker_failures", {}).values()
    mistakes = (mistake for failure in failures if (mistake := mistake_in(failure)))
    why = " ".join(str(error).split())[-400:]
    return next(mistakes, UserError(f"training was given up (train.max_failures: after how many restarts): … {why}"))


def training_run(config: Config, key: str, states: States, callbacks: list[UserCallback]) -> TorchTrainer:
    """A run on the connected cluster, to `fit`: from the last of `states`, or from the start.

    Raises:
        UserError: the cluster has GPUs, but fewer than workers.
    """
    arguments = {"config": config.model_dump(), "key": key, "data": folder(AUGMENTED)}
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
            worker_runtime_env={"env_vars": KEEP_MEMORY},
            logging_config=LoggingConfig(log_level="ERROR"),
        ),
    )


def on_gpus(workers: int | tuple[int, int]) -> bool:
    """Whether each worker has a GPU, which is also said; on a cluster without any, all train on processors.

    Raises:
        UserError: the cluster has GPUs, but fewer than workers.
    """
    fewest, most = workers if isinstance(workers, tuple) else (workers, workers)
    there = gpus()
    if 0 < there < fewest:
        raise UserError(
            f"train.workers {fewest}: the cluster has GPUs for {there} of them only: lower it, or hide them "
            "(CUDA_VISIBLE_DEVICES=) to train on processors"
        )
    used = min(there, most)
    print("training on " + (f"{used} GPU{'s' * (used > 1)}" if used else "processors: there is no GPU"), flush=True)
    return there > 0


def _report(history: list[dict]) -> None:
    """Curves for `dvc plots show`, the same as a picture, and the last figures."""
    write_csv(CURVES / "history.csv", history)
    plots.training_curves(history, CURVES / "history.png")
    write_json(CURVES / "metrics.json", history[-1])


if __name__ == "__main__":
    main(train)
