"""Training with Ray Train, against a bare torch loop with the same step, workers and data.

    python -m benchmarks.training

The bare loop is plain processes with torch's DistributedDataParallel, or without it for one worker: no Ray, no
checkpoints, no MLflow. Rates are of the second half of the steps; both sides warm up in the first.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from benchmarks.apart import apart, processes
from benchmarks.figures import Figure, main, ratio
from benchmarks.material import make_pairs, make_variants
from pipelines.cluster import cores
from pipelines.stage import AUGMENTED
from pipelines.states import States
from pipelines.train import fit
from pipelines.worker import prefetch
from r2mrf import shards
from r2mrf.config import Config, load
from r2mrf.preprocess import Preprocess
from r2mrf.samples import Samples, batch_positions
from r2mrf.trainer import Trainer

PAIRS, STEPS, REPEATS = 32, 40, 3


def measure(short: bool) -> Iterator[Figure]:
    pairs, steps, repeats = (1, 2, 1) if short else (PAIRS, STEPS, REPEATS)
    config = load()
    train = {"steps": steps, "report_every": steps // 2, "validation": 0, "precision": "auto"}
    if short:
        config = config.but(model={"steps": 1, "input_size": 64}, train={"batch": 2, "crop": 32})
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        make_variants(AUGMENTED.resolve(), make_pairs(Path(folder) / "pairs", pairs, config), config)
        for workers in (1,) if short else (1, cores()):
            yield from _compared(config.but(train=train | {"workers": workers}), repeats)


def _compared(config: Config, repeats: int) -> Iterator[Figure]:
    workers, batch = config.train.workers, config.train.batch
    table = f"{workers} worker{'s' * (workers > 1)}"
    rates: dict[str, list[float]] = {"bare": [], "ray": []}
    waiting, outside, fed = [], [], []
    for repeat in range(repeats):
        fed.append(apart(_input, config))
        rates["bare"].append(_bare(config))
        began = time.perf_counter()
        last = _with_ray(config, f"{workers}-{repeat}")
        seconds = time.perf_counter() - began
        rates["ray"].append(last["images_per_second"])
        waiting.append(100 * last["waiting"])
        outside.append(seconds - config.train.steps * batch / last["images_per_second"])
    yield Figure(table, "bare loop", "images/s", rates["bare"])
    yield Figure(table, "Ray Train", "images/s", rates["ray"])
    yield ratio(table, "Ray Train / bare loop", rates["ray"], rates["bare"], at_least=0.97)
    yield Figure(table, "waiting for data", "% of the time", waiting, at_most=2)
    yield Figure(table, "beside the steps", "s a run", outside, "start of Ray, network, checkpoints, MLflow")
    if workers == 1:
        yield Figure(
            table, "input path alone", "images/s", fed, "shard to tensors, on one thread, as it runs in training"
        )
        yield ratio(table, "input path / bare loop", fed, rates["bare"], at_least=3)


def _with_ray(config: Config, name: str) -> dict:
    """Last figures of a run."""
    return fit(config, f"benchmark-{name}", States(config.tracking.states, f"benchmark-{name}")).history[-1]


def _bare(config: Config) -> float:
    """Images a second, all workers together."""
    workers = config.train.workers
    with tempfile.TemporaryDirectory() as meeting, processes(workers) as pool:
        ranks = [pool.submit(_loop, config, rank, f"file://{meeting}/ranks") for rank in range(workers)]
        return min(rank.result() for rank in ranks)


def _loop(config: Config, rank: int, meeting: str) -> float:
    workers = config.train.workers
    torch.set_num_threads(max(cores() // workers, 1))
    torch.set_flush_denormal(True)
    trainer = Trainer(config, "bare")
    module = trainer.network
    if workers > 1:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=workers)
        module = DistributedDataParallel(module)
    half = config.train.steps // 2
    for batch in prefetch(_samples(config, trainer.preprocess), config, 0, rank, workers):
        if trainer.step == half:
            began = time.perf_counter()
        trainer.train_step(module, batch, share=len(batch.photos) * workers / config.train.batch)
    return (trainer.step - half) * config.train.batch / (time.perf_counter() - began)


def _input(config: Config) -> float:
    """Images a second from shards to tensors."""
    network = Trainer(config, "input")
    samples, batch = _samples(config, network.preprocess), config.train.batch
    samples.batch(batch_positions(0, batch))
    began = time.perf_counter()
    for step in range(config.train.steps // 2):
        samples.batch(batch_positions(step, batch))
    return config.train.steps // 2 * batch / (time.perf_counter() - began)


def _samples(config: Config, preprocess: Preprocess) -> Samples:
    return Samples(shards.read(AUGMENTED), preprocess, config.train.crop, config.seed)


if __name__ == "__main__":
    main(measure)
