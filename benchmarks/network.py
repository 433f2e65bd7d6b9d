"""Measure the network: each step from the paper's formulas to the fastest engine, in use and in training.

    python -m benchmarks.network

On all cores. Weights are random, as they do not change the speed; all ways get the same ones and the same photos.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness.figures import Figure, by_turns, main, ratio
from benchmarks.harness.literal import literal
from benchmarks.harness.profile import profile
from r2mrf.config import Config, load
from r2mrf.engine_names import ENGINES
from r2mrf.engines.choose import create
from r2mrf.engines.pytorch import Torch
from r2mrf.errors import UserError, one_line
from r2mrf.network.checkpoint import Checkpoint, untrained
from r2mrf.network.cost import macs_of
from r2mrf.network.loss import loss_terms
from r2mrf.network.model import R2MRF
from r2mrf.network.precision import autocast, resolve_precision
from r2mrf.system.machine import cores
from r2mrf.training.optim import make_optimizer

LITERAL, FACTORED = "literal RRM", "factored RRM"
FEWEST_PHOTOS = 80  # a second, on two cores, that the profile lite is to reach with its fastest engine
FEWEST_SHARE = 0.6  # of the matrix-multiply peak, that the fastest engine is to reach
MATRIX = 2048  # side of the matrices whose product is taken for the peak


class Sizes(NamedTuple):
    """Sizes to measure: `batch` photos of `side`² forward, `learnt` photos of `crop`² in a training step, how often
    each is repeated, and whether to compile, which takes minutes."""

    side: int
    batch: int
    crop: int
    learnt: int
    repeats: int
    compiled: bool = True


SIZES = {"lite": Sizes(320, 8, 192, 8, 7), "paper": Sizes(320, 1, 300, 1, 3, compiled=False)}
SHORT = {"lite": Sizes(64, 1, 32, 1, 1, compiled=False)}


def measure(short: bool) -> Iterator[Figure]:
    torch.set_num_threads(1 if short else cores())  # CI shares its cores, and threads that wait for each other crawl
    config = load()
    for name, sizes in (SHORT if short else SIZES).items():
        values = config.model_copy(update={"profile": name})
        values = values.but(model={"input_size": sizes.side, "steps": 6}, train={"crop": sizes.crop})
        yield from forward(values, sizes)
        yield from training(values, sizes)


def forward(config: Config, sizes: Sizes) -> Iterator[Figure]:
    """Yield the rates of all ways to run the network, their agreement, their share of the peak, and torch's profile."""
    torch.manual_seed(0)
    checkpoint = untrained(config.model)
    x = torch.randn(sizes.batch, 3, sizes.side, sizes.side)
    ways, refused = _ways(checkpoint, config, x, sizes.compiled)
    table, floor = f"{config.profile}: forward", ways[LITERAL]()
    flops = 2 * macs_of(checkpoint.network, x)
    products = {precision: _product(precision) for precision in sorted({"fp32", resolve_precision("auto")})}
    seconds = by_turns(ways | {f"peak {precision}": run for precision, run in products.items()}, sizes.repeats)
    peaks = {p: [2 * MATRIX**3 / s for s in seconds.pop(f"peak {p}")] for p in products}
    fastest = min(seconds, key=lambda name: float(np.median(seconds[name])))
    for name, times in seconds.items():
        off = float(np.abs(ways[name]() - floor).max())
        reach = {"at_least": FEWEST_PHOTOS} if config.profile == "lite" and name == fastest else {}
        note = f"differs from the literal form by at most {off:.1g}"
        yield Figure(table, name, "photos/s", [sizes.batch / s for s in times], note, **reach)
    for name, why in refused.items():
        yield Figure(table, name, "photos/s", note=why)
    reach = {"at_least": 1.5} if config.model.share_steps else {}
    yield ratio(table, f"{FACTORED} / {LITERAL}", seconds[LITERAL], seconds[FACTORED], **reach)
    yield ratio(table, f"{fastest} / {LITERAL}", seconds[LITERAL], seconds[fastest])
    yield from _shares(config.profile, seconds, peaks, flops, sizes.batch, fastest)
    used = Torch(checkpoint.network, precision="fp32").graph.network
    yield from profile(config.profile, used, x, float(np.median(peaks["fp32"])), sizes.repeats)


def _shares(
    name: str, seconds: dict[str, list[float]], peaks: dict[str, list[float]], flops: int, batch: int, fastest: str
) -> Iterator[Figure]:
    """Yield the share of the peak that each way reaches, counting the operations of the factored form."""
    table = f"{name}: share of the peak"
    for precision, peak in peaks.items():
        yield Figure(table, f"product of two {MATRIX}² matrices, {precision}", "GFLOP/s", [p / 1e9 for p in peak])
        most = [batch * p / flops for p in peak]
        yield Figure(table, f"the whole network, if all of it ran like that, {precision}", "photos/s", most)
    for way, times in seconds.items():
        peak = peaks["bf16" if "bf16" in way else "fp32"]
        reach = {"at_least": FEWEST_SHARE} if way == fastest else {}
        yield Figure(table, way, "of the peak", [flops / s / p for s, p in zip(times, peak, strict=True)], **reach)


def _ways(
    checkpoint: Checkpoint, config: Config, x: Tensor, compiled: bool
) -> tuple[dict[str, Callable[[], np.ndarray]], dict[str, str]]:
    """Return functions that run the network on `x`, by name, and the reasons why others cannot run here."""
    factored = copy.deepcopy(checkpoint.network)  # the export turns the checkpoint's own to channels-last
    last, x_last = copy.deepcopy(factored).to(memory_format=torch.channels_last), _channels_last(x)
    ways = {
        LITERAL: _eager(literal(factored, config.model), x, torch.no_grad),
        FACTORED: _eager(factored, x, torch.no_grad),
        "… in inference mode": _eager(factored, x),
        "… channels-last": _eager(last, x_last),
    }
    refused = {}
    if resolve_precision("auto") == "bf16":
        ways["… channels-last, bf16"] = _eager(last, x_last, precision="bf16")
    else:
        refused["… channels-last, bf16"] = "this processor does not multiply bfloat16 natively"
    name = "… channels-last, torch.compile"
    if not compiled or not shutil.which("g++"):
        refused[name] = "no C++ compiler here" if compiled else "not tried here, as compiling takes minutes"
    else:
        ways[name] = _eager(torch.compile(last), x_last)
        try:
            ways[name]()
        except Exception as error:  # many kinds: the compiler does not work, or cannot compile this code
            refused[name] = f"{type(error).__name__}: {one_line(error)}"
            del ways[name]
    for name, precision in dict.fromkeys((name, p) for name in ENGINES for p in ("fp32", resolve_precision("auto"))):
        try:
            engine = create(name, checkpoint, torch.get_num_threads(), precision)
        except UserError as error:
            refused[f"engine {name}, {precision}"] = str(error)
            continue
        ways[f"engine {name}, {engine.precision}"] = lambda engine=engine: engine(x.numpy()).defocus
    return ways, refused


def _eager(network: R2MRF, x: Tensor, mode=torch.inference_mode, precision: str = "fp32") -> Callable[[], np.ndarray]:
    def run() -> np.ndarray:
        with mode(), autocast(precision):
            return network(x).fused.float().sigmoid()[:, 0].numpy()

    return run


def _product(precision: str) -> Callable[[], Tensor]:
    a, b = (torch.randn(MATRIX, MATRIX, dtype={"bf16": torch.bfloat16}.get(precision, torch.float32)) for _ in "ab")
    return lambda: a @ b


def training(config: Config, sizes: Sizes) -> Iterator[Figure]:
    """Yield the rates of a training step: forward, loss, backward, optimiser."""
    torch.manual_seed(0)
    network = R2MRF(config.model.model_copy(update={"weights": "random"})).train()
    x = torch.randn(sizes.learnt, 3, sizes.crop, sizes.crop)
    last = copy.deepcopy(network).to(memory_format=torch.channels_last)
    ways = {
        LITERAL: _step(literal(network, config.model), x, config, "fp32"),
        FACTORED: _step(network, x, config, "fp32"),
        "… channels-last": _step(last, _channels_last(x), config, "fp32"),
    }
    if resolve_precision("auto") == "bf16":
        ways["… channels-last, bf16"] = _step(last, _channels_last(x), config, "bf16")
    seconds = by_turns(ways, sizes.repeats)
    table = f"{config.profile}: training step"
    for name, times in seconds.items():
        yield Figure(table, name, "photos/s", [sizes.learnt / s for s in times])
    if resolve_precision("auto") != "bf16":
        note = "this processor does not multiply bfloat16 natively"
        yield Figure(table, "… channels-last, bf16", "photos/s", note=note)
    yield ratio(table, f"{FACTORED} / {LITERAL}", seconds[LITERAL], seconds[FACTORED])


def _step(network: R2MRF, x: Tensor, config: Config, precision: str) -> Callable[[], None]:
    optimizer, mask = make_optimizer(network, config.train), (torch.rand(len(x), 1, *x.shape[-2:]) > 0.5).float()

    def run() -> None:
        with autocast(precision):
            outputs = network(x)
        optimizer.zero_grad(set_to_none=True)
        sum(loss_terms(outputs, mask, config.train.side_weight).values()).backward()
        optimizer.step()

    return run


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


if __name__ == "__main__":
    main(measure)
