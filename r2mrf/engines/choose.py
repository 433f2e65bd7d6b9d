"""What runs the network: torch, ONNX Runtime or OpenVINO behind one call; torch on a GPU where there is one.

    engine = create("openvino", checkpoint, threads=2)
    defocus, steps = engine(x)              # normalised float32 B×3×S×S -> probabilities
    print(fastest(checkpoint, threads=2))   # "openvino (photos/s: openvino 21.3, torch 17.9, onnx 16.2)"

An engine gives torch's probabilities, to the rounding of its precision; `fastest` refuses one that does not.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import numpy as np
import torch

from r2mrf.engines.onnx_graph import to_onnx
from r2mrf.engines.pytorch import Torch
from r2mrf.engines.runtimes import RUNTIMES, Engine, EngineError
from r2mrf.errors import UserError
from r2mrf.network.checkpoint import Checkpoint
from r2mrf.network.precision import resolve

ENGINES = ("torch", "openvino", "onnx")  # of those that are equally fast, `fastest` takes the first
TIE = 1.05  # rates that differ by less are equal: the next trial might turn them round
AGREEMENT = 0.02  # mean difference from torch's maps that bfloat16 explains; an engine further off is wrong

log = logging.getLogger(__name__)


def create(name: str, checkpoint: Checkpoint, threads: int | None = None, precision: str = "auto") -> Engine:
    """An engine by name: one of `ENGINES`, or `auto` for the fastest (said in the log).

    Args:
        threads: how many the engine uses; None: as many as torch has.
        precision: fp32, bf16, or auto: what the machine multiplies natively. ONNX Runtime has fp32 only.

    Raises:
        EngineError: no such engine, or its package is not installed.
        GraphError: the network cannot be turned into the engine's form.
        UserError: the model's weights are no numbers.
    """
    check(checkpoint)
    if name == "torch":
        return Torch(checkpoint.network, threads, precision)
    if runtime := RUNTIMES.get(name):
        graph, size = to_onnx(checkpoint.network), checkpoint.preprocess.size
        return runtime(graph, threads or torch.get_num_threads(), size, resolve(precision))
    if name == "auto":
        trial = fastest(checkpoint, threads, precision)
        log.info("engine: %s", trial)
        return trial.engine
    raise EngineError(f"no engine {name!r}: use one of {', '.join(ENGINES)}, or auto")


def check(checkpoint: Checkpoint) -> None:
    """Raises UserError if weights are no numbers: their maps would be none."""
    if not all(value.isfinite().all() for value in checkpoint.network.state_dict().values()):
        raise UserError(f"{checkpoint.name}: some of its weights are no numbers; train it anew, or give another model")


@dataclass(frozen=True)
class Trial:
    """The fastest engine. `rates`: photos a second by name, fastest first; `refused`: name -> why it was not tried."""

    engine: Engine
    rates: dict[str, float]
    refused: dict[str, str]

    def __str__(self) -> str:
        rates = ", ".join(f"{name} {rate:.1f}" for name, rate in self.rates.items())
        without = f"; without {', '.join(self.refused)}" if self.refused else ""
        return f"{self.engine.name} (photos/s: {rates}{without})"


def fastest(
    checkpoint: Checkpoint, threads: int | None = None, precision: str = "auto", batch: int = 4, rounds: int = 3
) -> Trial:
    """Time every engine that is installed on a few batches of noise, by turns, and take the fastest.

    Its engine stays; to have the same one in other processes, pass on its name. What differs by less than `TIE`
    goes by the order of `ENGINES`. An engine that fails here, or whose maps are not torch's, is refused, however fast.

    Raises:
        UserError: the model's weights are no numbers.
    """
    size = checkpoint.preprocess.size
    photos = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
    x = checkpoint.preprocess.normalise(photos)
    engines, refused, expected = {}, {}, None
    for name in ENGINES:
        try:
            engine = create(name, checkpoint, threads, precision)
            defocus = engine(x).defocus  # the first batch is slower, and not timed
        except Exception as error:  # whatever other makers' code thinks of this machine, torch still does
            if name == "torch":
                raise
            refused[name] = " ".join(str(error).split())
            continue
        expected = defocus if expected is None else expected
        if np.abs(defocus - expected).mean() <= AGREEMENT:
            engines[name] = engine
        else:
            refused[name] = "its maps are not those of torch"
    seconds = {name: min(times) for name, times in _time(engines, x, rounds).items()}
    best = next(name for name in engines if seconds[name] <= TIE * min(seconds.values()))
    rates = {name: batch / seconds[name] for name in sorted(engines, key=seconds.__getitem__)}
    return Trial(engines[best], rates, refused)


def _time(engines: dict[str, Engine], x: np.ndarray, rounds: int) -> dict[str, list[float]]:
    """Seconds of each batch; by turns, so that what else the machine does falls on all alike."""
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(rounds):
        for name, engine in engines.items():
            began = time.perf_counter()
            engine(x)
            times[name].append(time.perf_counter() - began)
    return times
