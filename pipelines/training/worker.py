"""The loop of a training worker: its share of every batch, validation, reports with checkpoints."""

from __future__ import annotations

import logging
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pyarrow as pa
import torch
import torch.distributed as dist
from pyarrow.fs import FileSystem
from torch import nn

from pipelines.training import tables
from pipelines.training.states import local_state
from r2mrf.config import Config
from r2mrf.data.batches import Batch, Samples, batch_positions
from r2mrf.evaluation.metrics import HALF, f_at
from r2mrf.system.machine import cores
from r2mrf.training.trainer import NotFinite, Trainer, validate


def work(arguments: dict) -> dict | None:
    """Train from the last checkpoint, or from the start, to the end. Ray Train runs this function in each worker."""
    import ray.train
    from ray.train.torch import prepare_model

    logging.disable(logging.INFO)  # the progress line says it all
    if Path(arguments["here"]).is_dir():  # relative paths in params.yaml refer to the driver's folder, not a worker's
        os.chdir(arguments["here"])
    config = Config.model_validate(arguments["config"])
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    torch.set_num_threads(max(cores() // context.get_local_world_size(), 1))
    be_deterministic()
    trainer = _begun(config, arguments, rank)
    module = prepare_model(trainer.network)  # averages gradients over the workers
    data = tables.read(config, arguments["folders"])
    try:
        learn(trainer, module, data, lambda figures: _report(trainer, figures, rank), rank, world)
    except NotFinite as error:  # every worker sees the same gradient, so all of them end here
        return {"not_finite": first_not_finite(error)}
    return None


def learn(
    trainer: Trainer,
    module: nn.Module,
    data: tables.Tables,
    report: Callable[[dict[str, float]], None],
    rank: int = 0,
    world: int = 1,
) -> None:
    """Train from the trainer's step to the last one; `report` figures every `report_every` steps.

    Args:
        module: the trainer's network, or a wrapper of it that averages gradients over the workers.
        rank, world: the number of this worker, and the number of all workers.

    Raises:
        NotFinite: the loss or its gradient is no longer a finite number.
    """
    config = trainer.config
    samples = Samples(data.learn, trainer.preprocess, config.train.crop, config.run_seed, data.others)
    meter = Meter(config.train.batch)
    for batch in prefetch(samples, config, trainer.step, rank, world):
        meter.waited()
        values = trainer.train_step(module, batch, share=len(batch.photos) * world / config.train.batch)
        meter.stepped(values)
        if trainer.step % config.train.report_every == 0 or trainer.step == config.train.steps:
            report(meter.read() | _validation(trainer, data.held_back, rank, world))
            meter.restart()


def _begun(config: Config, arguments: dict, rank: int) -> Trainer:
    """Return the run in its last state, or at its start."""
    import ray.train
    from ray.train.torch import get_device

    checkpoint = ray.train.get_checkpoint()
    unlisted = checkpoint is None and arguments["recovered"]
    if unlisted:
        checkpoint = ray.train.Checkpoint(unlisted, FileSystem.from_uri(arguments["storage"])[0])
    with local_state(checkpoint.path, checkpoint.filesystem) if checkpoint else nullcontext() as state:
        trainer = Trainer(config, arguments["key"], get_device(), state)
    # a state is loaded into the processor's memory, and nothing else would move the averaged weights to the device
    trainer.averaged.values = {name: value.to(trainer.device) for name, value in trainer.averaged.values.items()}
    if unlisted:
        _hand_over(trainer, rank)  # otherwise a stop before the next report would lose this state again
    return trainer


def be_deterministic() -> None:
    """Make the same steps give the same weights on a GPU, too, at some cost of speed; processors are deterministic."""
    torch.set_flush_denormal(True)  # denormal numbers make a processor many times slower
    if torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = False


def _report(trainer: Trainer, figures: dict, rank: int) -> None:
    """Report figures (averaged over the workers) and state to Ray, and print a progress line."""
    trainer.history.append({"step": trainer.step, **_over_workers(figures)})
    if rank == 0:
        print(progress_line(trainer), flush=True)
    _hand_over(trainer, rank)


def progress_line(trainer: Trainer) -> str:
    """Return a line with the latest figures and the remaining seconds."""
    figures = trainer.history[-1]
    left = (trainer.train.steps - trainer.step) * trainer.train.batch / figures["images_per_second"]
    shown = ", ".join(f"{name} {value:.3g}" for name, value in figures.items() if name != "step")
    return f"step {trainer.step}/{trainer.train.steps}: {shown}, {left:.0f} s left"


def _hand_over(trainer: Trainer, rank: int) -> None:
    """Hand the latest figures to Ray and, from rank 0, the state."""
    import ray.train

    with tempfile.TemporaryDirectory() as folder:
        state = None
        if rank == 0:
            trainer.save(Path(folder))
            state = ray.train.Checkpoint.from_directory(folder)
        ray.train.report(trainer.history[-1], checkpoint=state)


def prefetch(samples: Samples, config: Config, start: int, rank: int, world: int) -> Iterator[Batch]:
    """Yield this worker's share of each batch from step `start` on; the next one is decoded during the current step."""

    def share(step: int) -> Batch:
        return samples.batch(batch_positions(step, config.train.batch, rank, world))

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(share, start)
        for step in range(start, config.train.steps):
            batch = coming.result()
            if step + 1 < config.train.steps:
                coming = pool.submit(share, step + 1)
            yield batch


def _validation(trainer: Trainer, table: pa.Table, rank: int, world: int) -> dict[str, float]:
    """Return MAE and F at 0.5 of the averaged weights on the held-back photos; each worker measures its share."""
    if not table.num_rows:
        return {}
    mine = range(rank, table.num_rows, world)
    counts = validate(trainer.averaged_network(), table, mine, trainer.preprocess, trainer.train.precision)
    share = world / table.num_rows  # so that the mean over the workers is the mean over the photos
    return {
        "val_mae": share * sum(c.absolute_error for c in counts),
        "val_f_05": share * sum(f_at(c, HALF) for c in counts),
    }


def _over_workers(figures: dict[str, float]) -> dict[str, float]:
    """Return the mean of each figure over the workers."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return figures
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    values = torch.tensor(list(figures.values()), dtype=torch.float64, device=device)
    dist.all_reduce(values)
    return dict(zip(figures, (values / dist.get_world_size()).tolist(), strict=True))


def first_not_finite(error: NotFinite) -> str:
    """Return the message of the worker whose own loss was not finite; the others only received its gradient."""
    if not dist.is_initialized():
        return str(error)
    errors: list[NotFinite] = [error] * dist.get_world_size()
    dist.all_gather_object(errors, error)
    return str(next((e for e in errors if not all(map(math.isfinite, e.terms.values()))), error))


class Meter:
    """Means and rates since the last report."""

    def __init__(self, batch: int):
        self.batch = batch
        self.restart()

    def restart(self) -> None:
        """Start again after a report, whose own time counts neither as training nor as waiting."""
        self.steps, self.losses, self.fused, self.waiting = 0, 0.0, 0.0, 0.0
        self.began = self.mark = time.perf_counter()

    def waited(self) -> None:
        """Record that a batch has arrived: the time since the last step was spent waiting for it."""
        self.waiting += time.perf_counter() - self.mark

    def stepped(self, values: dict[str, float]) -> None:
        """Record that a step is done; `values` holds its loss, and that of the fused map."""
        self.steps += 1
        self.losses += values["loss"]
        self.fused += values["fused"]
        self.mark = time.perf_counter()

    def read(self) -> dict[str, float]:
        """Return the mean losses, the images per second of all workers, and the share of time spent waiting."""
        seconds = self.mark - self.began
        return {
            "loss": self.losses / self.steps,
            "loss_fused": self.fused / self.steps,
            "images_per_second": self.steps * self.batch / seconds,
            "waiting": self.waiting / seconds,
        }
