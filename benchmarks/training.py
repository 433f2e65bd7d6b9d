"""Compare training with Ray Train to a bare torch loop with the same step, workers and data.

    python -m benchmarks.training

The bare loop is plain processes with torch's DistributedDataParallel, or without it for one worker: no Ray, no
checkpoints, no MLflow. Both are in the middle of their training and take turns of some seconds: within a minute, a
machine's speed may change by more than the difference to be measured. During the turn of the bare loop, Ray and all
of its processes are stopped.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from benchmarks.harness.apart import apart, processes
from benchmarks.harness.figures import Figure, main, ratio, timed
from benchmarks.harness.material import make_pairs, make_variants
from pipelines.cluster.ray_cluster import LOGICAL_CPUS, connect
from pipelines.project.folders import AUGMENTED
from pipelines.registry import runs
from pipelines.training import worker
from pipelines.training.run import fit, training_run, with_resolved_precision
from pipelines.training.states import States
from pipelines.training.worker import prefetch
from r2mrf.config import Config, load
from r2mrf.data import shards
from r2mrf.data.batches import Samples, batch_positions
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.system.machine import cores
from r2mrf.training.trainer import Trainer

PAIRS, STEPS, TURNS, TURN, WARM = 32, 40, 8, 8, 5  # TURN, WARM: steps
ENDLESS = 10_000  # steps, of a run that is ended when it has had its turns
PATIENCE = 600  # seconds for the steps of a turn
TIMES = "times.txt"  # of the steps that Ray's first worker has done


def measure(short: bool) -> Iterator[Figure]:
    pairs, steps, turns = (1, 2, 1) if short else (PAIRS, STEPS, TURNS)
    config = load()
    train = {"steps": steps, "report_every": steps // 2, "validation": 0, "precision": "auto"}
    if short:
        config = config.but(model={"steps": 1, "input_size": 64}, train={"batch": 2, "crop": 32})
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        make_variants(AUGMENTED.resolve(), make_pairs(Path(folder) / "pairs", pairs, config), config)
        for workers in (1,) if short else (1, cores()):
            ours = with_resolved_precision(config.but(train=train | {"workers": workers}))
            yield from _compared(ours, turns)


def _compared(config: Config, turns: int) -> Iterator[Figure]:
    workers, images = config.train.workers, TURN * config.train.batch
    table = f"{workers} worker{'s' * (workers > 1)}"
    endless = config.but(train={"steps": ENDLESS, "report_every": ENDLESS})
    with contextlib.closing(_by_turns(endless)) as both:
        bare, ours, others = zip(*islice(both, turns), strict=True)
    rates = {"bare": [images / seconds for seconds in bare], "ray": [images / seconds for seconds in ours]}
    yield Figure(table, "bare loop", "images/s", rates["bare"], f"turns of {TURN} steps")
    yield Figure(table, "Ray Train", "images/s", rates["ray"], f"turns of {TURN} steps")
    yield ratio(table, "Ray Train / bare loop", rates["ray"], rates["bare"], at_least=0.97)
    note = f"the steps have what that leaves of {cores()} cores"
    yield Figure(table, "Ray's processes beside its workers", "% of a core", [100 * share for share in others], note)
    run = f"benchmark-{workers}"
    last, seconds = timed(lambda: fit(config, run, States(config.tracking.states, run)).history[-1])
    learning = config.train.steps * config.train.batch / last["images_per_second"]
    yield Figure(table, "waiting for data", "% of the time", [100 * last["waiting"]], at_most=2)
    note = "start of Ray, network, checkpoints, MLflow"
    yield Figure(table, "beside the steps", "s a run", [seconds - learning], note)
    if workers == 1:
        fed = apart(_input, config)
        note = "shard to tensors, on one thread, as it runs in training"
        yield Figure(table, "input path alone", "images/s", [fed], note)
        yield ratio(table, "input path / bare loop", [fed] * turns, rates["bare"], at_least=3)


def _by_turns(config: Config) -> Iterator[tuple[float, float, float]]:
    """Yield the seconds of the bare loop and of Ray Train for the same steps, and the share of a core that Ray's other
    processes use meanwhile, once per repeat."""
    Path(TIMES).unlink(missing_ok=True)
    ray = multiprocessing.get_context("spawn").Process(target=_train, args=(config,))
    with tempfile.TemporaryDirectory() as meeting, contextlib.ExitStack() as stack:
        pools = [stack.enter_context(processes(1)) for _ in range(config.train.workers)]
        for begun in [pool.submit(_begin, config, rank, f"file://{meeting}/ranks") for rank, pool in enumerate(pools)]:
            begun.result()
        _turn(pools, WARM)
        ray.start()
        try:
            _times(WARM, ray)
            while True:
                with _standing_still(ray.pid):
                    bare = _turn(pools, TURN)
                began = len(_times(0, ray))  # of the step that stood still
                before, since = _beside(ray.pid), time.monotonic()
                times = _times(began + 1 + TURN, ray)
                spent = sum(seconds - before[pid] for pid, seconds in _beside(ray.pid).items() if pid in before)
                share = spent / (time.monotonic() - since)
                yield bare, times[began + TURN] - times[began], share
        finally:
            _tell(_tree(ray.pid), psutil.Process.kill)
            ray.join()


@contextlib.contextmanager
def _standing_still(pid: int) -> Iterator[None]:
    tree = _tree(pid)
    try:
        _tell(tree, psutil.Process.suspend)
        yield
    finally:
        _tell(tree, psutil.Process.resume)


def _tell(tree: list[psutil.Process], what: Callable[[psutil.Process], None]) -> None:
    for process in tree:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended by itself
            what(process)


def _tree(pid: int) -> list[psutil.Process]:
    """Return a process with all its children; empty if it has ended."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _beside(pid: int) -> dict[int, float]:
    """Return the processor seconds of each of Ray's processes except those that train."""
    seconds = {}
    for process in _tree(pid):
        with contextlib.suppress(psutil.Error):  # it has ended by itself
            if "RayTrainWorker" not in " ".join(process.cmdline()):
                used = process.cpu_times()
                seconds[process.pid] = used.user + used.system
    return seconds


# Ray's side


def _train(config: Config) -> None:
    """Run the stage's training; its first worker notes the time of every step."""

    # not a function of the module: by value it goes to workers, which may not find the benchmarks
    def noted(arguments: dict) -> dict | None:
        import ray.train

        class Noting(worker.Meter):
            def stepped(self, values: dict[str, float]) -> None:
                super().stepped(values)
                with Path(arguments["here"], TIMES).open("a") as file:
                    file.write(f"{time.time()}\n")

        if ray.train.get_context().get_world_rank() == 0:
            worker.Meter = Noting  # in this process alone
        return worker.work(arguments)

    run_id = runs.run_for(config, "benchmark", str(time.time()))
    with connect(logical_cpus=LOGICAL_CPUS + config.train.workers, training=True):
        states = States(config.tracking.states, f"turns-{config.train.workers}")
        run = training_run(config, states.name, states, [runs.LogReports(config.tracking, run_id)])
        run.train_loop_per_worker = noted
        run.fit()


def _times(number: int, ray: BaseProcess) -> list[float]:
    """Return the times at which Ray's steps were done, once there are so many."""
    end = time.monotonic() + PATIENCE
    while ray.is_alive() and time.monotonic() < end:
        lines = Path(TIMES).read_text().splitlines() if Path(TIMES).exists() else []
        if len(lines) >= number:
            return [float(line) for line in lines]
        time.sleep(0.05)
    raise RuntimeError(f"Ray Train has ended, or has not done {number} steps in {PATIENCE} s")


# The bare side: one process per worker, which continues where it stopped.

_loop: Iterator[None]


def _begin(config: Config, rank: int, meeting: str) -> None:
    global _loop
    _loop = _steps(config, rank, meeting)
    next(_loop)


def _turn(pools: list[ProcessPoolExecutor], steps: int) -> float:
    """Return the seconds that all workers together need for so many steps."""
    return max(turn.result() for turn in [pool.submit(_go, steps) for pool in pools])


def _go(steps: int) -> float:
    return timed(lambda: sum(1 for _ in islice(_loop, steps)))[1]


def _steps(config: Config, rank: int, meeting: str) -> Iterator[None]:
    workers = config.train.workers
    torch.set_num_threads(max(cores() // workers, 1))
    torch.set_flush_denormal(True)
    trainer = Trainer(config, "bare")
    module = trainer.network
    if workers > 1:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=workers)
        module = DistributedDataParallel(module)
    yield  # it is ready
    for batch in prefetch(_samples(config, trainer.preprocess), config, 0, rank, workers):
        trainer.train_step(module, batch, share=len(batch.photos) * workers / config.train.batch)
        yield


# The input path


def _input(config: Config) -> float:
    """Return the images per second from shards to tensors."""
    samples, batch = _samples(config, Trainer(config, "input").preprocess), config.train.batch
    samples.batch(batch_positions(0, batch))
    began = time.perf_counter()
    for step in range(config.train.steps // 2):
        samples.batch(batch_positions(step, batch))
    return config.train.steps // 2 * batch / (time.perf_counter() - began)


def _samples(config: Config, preprocess: Preprocess) -> Samples:
    return Samples(shards.read(AUGMENTED), preprocess, config.train.crop, config.seed)


if __name__ == "__main__":
    main(measure)
