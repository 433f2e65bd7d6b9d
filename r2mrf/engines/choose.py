"""Chooses an engine for the network: torch (on a GPU if there is one), ONNX Runtime or OpenVINO.

    engine = create("openvino", checkpoint, threads=2)
    defocus, steps = engine(x)              # normalised float32 B×3×S×S -> probabilities
    print(fastest(checkpoint, threads=2))   # "openvino fp32 (photos/s: openvino fp32 21.3, torch fp32 17.9)"

Every engine gives torch's probabilities, up to the rounding of its precision; `fastest` refuses one that does not. The
default precision is fp32, so that a photo has the same map on every machine.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch

from r2mrf.engine_names import ENGINES, PRECISIONS
from r2mrf.engines.onnx_graph import graph_for
from r2mrf.engines.pytorch import Torch
from r2mrf.engines.runtimes import RUNTIMES, Engine, EngineError, check_choice
from r2mrf.errors import UserError, one_line
from r2mrf.imaging import images
from r2mrf.network.checkpoint import Checkpoint
from r2mrf.network.precision import native_bfloat16
from r2mrf.rendering.scenes import render_scene

HOPELESS = 1.5  # an engine that takes this many times as long as the fastest one is not timed again
TIE = 1.05  # rates that differ by less count as equal: the next trial might reverse them
# Largest mean difference between an engine's maps and those of torch in fp32, over rendered scenes. docs/scoring.md
# says how much those of the released weights differ.
AGREEMENT = {"fp32": 1e-3, "bf16": 0.01, "int8": 0.02}

log = logging.getLogger(__name__)


def create(name: str, checkpoint: Checkpoint, threads: int | None = None, precision: str = "fp32") -> Engine:
    """Create an engine by name: one of `ENGINES`, or `auto` for the fastest, which is named in the log.

    Args:
        threads: number of threads; None: as many as torch uses.
        precision: fp32; bf16, which ONNX Runtime does not have; int8, which torch does not have and for which the model
            needs an int8 form (`r2mrf.engines.int8`); or auto, the fastest one whose maps agree.

    Raises:
        EngineError: there is no such engine or precision, or `threads` is below 1, or the engine's package is not
            installed, or the engine lacks the precision.
        GraphError: the network cannot be converted for the engine.
        UserError: a weight of the model is not a finite number.
    """
    check(checkpoint)
    check_choice(name, precision, threads)
    if "auto" in (name, precision):
        trial = fastest(checkpoint, threads, name, precision)
        log.info("engine: %s", trial)
        return trial.engine
    return _start(name, checkpoint, threads, precision, lambda form: graph_for(checkpoint, form))


def _start(
    name: str, checkpoint: Checkpoint, threads: int | None, precision: str, graph: Callable[[str], bytes]
) -> Engine:
    """Start an engine; `graph` returns the model's graph in int8 or fp32."""
    if name == "torch":
        return Torch(checkpoint.network, threads, precision)
    form, size = "int8" if precision == "int8" else "fp32", checkpoint.preprocess.size
    return RUNTIMES[name](graph(form), threads or torch.get_num_threads(), size, precision)


def check(checkpoint: Checkpoint) -> None:
    """Raise UserError if any weight is not a finite number, because no map could be made with it."""
    if not all(value.isfinite().all() for value in checkpoint.network.state_dict().values()):
        raise UserError(
            f"{checkpoint.name}: some of its weights are not finite numbers: train it again, or choose another model"
        )


@dataclass(frozen=True)
class EngineTrial:
    """Result of a trial. An engine is named together with its precision ("torch fp32").

    `engine`: the fastest one; `rates`: photos per second by name, fastest first; `refused`: name -> reason it was not
    timed; `graph`: the model's graph in fp32, which takes seconds to write, if the fastest one has needed it.
    """

    engine: Engine
    rates: dict[str, float]
    refused: dict[str, str]
    graph: bytes = field(default=b"", repr=False)

    def __str__(self) -> str:
        rates = ", ".join(f"{name} {rate:.1f}" for name, rate in self.rates.items())
        without = f"; without {', '.join(self.refused)}" if self.refused else ""
        return f"{_label(self.engine.name, self.engine.precision)} (photos/s: {rates}{without})"


def fastest(
    checkpoint: Checkpoint,
    threads: int | None = None,
    name: str = "auto",
    precision: str = "fp32",
    batch: int = 4,
    rounds: int = 3,
) -> EngineTrial:
    """Time the engines alternately on a few rendered scenes, and choose the fastest.

    To get the same engine in other processes, pass on its name and precision. Rates that differ by less than `TIE`
    count as equal, and the order of `ENGINES` decides. An engine is refused if it fails here, or if its maps differ
    from those of torch in fp32 by more than `AGREEMENT`, however fast it is.

    Args:
        name: `auto` tries every engine; any other name tries that engine only.
        precision: `auto` tries fp32, bf16 where it is native, and int8 if the model has it; any other name tries only
            that.

    Raises:
        EngineError: no engine is left.
        UserError: a weight of the model is not a finite number.
    """
    x, graph = scenes(checkpoint, batch), cache(lambda form: graph_for(checkpoint, form))
    reference = create("torch", checkpoint, threads)
    expected = reference(x).defocus
    engines, refused = {}, {}
    for candidate, form in _candidates(name, precision, int8=bool(checkpoint.int8)):
        label = _label(candidate, form)
        try:
            same = (candidate, form) == ("torch", "fp32")
            engine = reference if same else _start(candidate, checkpoint, threads, form, graph)
            defocus = expected if same else engine(x).defocus  # the first batch is slow, so it is not timed
        except Exception as error:  # a third-party runtime may fail in any way on this machine; torch still works
            refused[label] = str(error) if isinstance(error, UserError) else one_line(error)
            continue
        if np.abs(defocus - expected).mean() <= AGREEMENT[form]:
            engines[label] = engine
        else:
            refused[label] = "its maps are not those of torch in fp32"
    if not engines:
        raise EngineError("no engine is left: " + "; ".join(f"{label}: {why}" for label, why in refused.items()))
    seconds = {label: min(times) for label, times in _time(engines, x, rounds).items()}
    best = next(label for label in engines if seconds[label] <= TIE * min(seconds.values()))
    rates = {label: batch / seconds[label] for label in sorted(engines, key=seconds.__getitem__)}
    needed = engines[best].name in RUNTIMES and engines[best].precision != "int8"
    return EngineTrial(engines[best], rates, refused, graph("fp32") if needed else b"")


def scenes(checkpoint: Checkpoint, batch: int = 4) -> np.ndarray:
    """Render photos on which to compare engines; return them as the network's input, float32 B×3×S×S."""
    size = checkpoint.preprocess.size
    photos = [images.decode(render_scene(number, size).jpeg) for number in range(batch)]
    return checkpoint.preprocess.normalise(np.stack(photos))


def _candidates(name: str, precision: str, int8: bool = False) -> list[tuple[str, str]]:
    """Return the pairs (engine, precision) to try, in order of preference between equally fast ones.

    Args:
        int8: whether the model has an int8 form.
    """
    names = ENGINES if name == "auto" else (name,)
    if precision != "auto":
        return [(candidate, precision) for candidate in names]
    device = {"torch": "cuda" if torch.cuda.is_available() else "cpu"}  # the others run on the processor
    native = [candidate for candidate in names if native_bfloat16(device.get(candidate, "cpu"))]
    eight_bits = [candidate for candidate in names if int8 and candidate in RUNTIMES]
    tried = {"fp32": names, "bf16": native, "int8": eight_bits}
    return [(candidate, form) for form in PRECISIONS for candidate in tried[form]]


def _label(name: str, precision: str) -> str:
    return f"{name} {precision}"


def _time(engines: dict[str, Engine], x: np.ndarray, rounds: int) -> dict[str, list[float]]:
    """Return the seconds that each engine took for each batch.

    The engines alternate, so that other load on the machine slows all of them alike. One that is far slower than
    another is not timed again.
    """
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(rounds):
        best = min((min(taken) for taken in times.values() if taken), default=float("inf"))
        for name, engine in engines.items():
            if min(times[name], default=0.0) > HOPELESS * best:
                continue
            began = time.perf_counter()
            engine(x)
            times[name].append(time.perf_counter() - began)
    return times
