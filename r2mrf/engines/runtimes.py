"""Runs the network without torch, by ONNX Runtime or OpenVINO behind one call.

    engine = RUNTIMES["openvino"](graph, threads=2)   # graph: written by `r2mrf.engines.onnx_graph.to_onnx`
    defocus, steps = engine(x)                        # normalised float32 B×3×S×S -> probabilities

torch is not imported here: it takes seconds and half a gigabyte, and workers that only score do not need it.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import numpy as np

from r2mrf.engine_names import ENGINES, PRECISIONS
from r2mrf.errors import UserError
from r2mrf.system import missing

INPUT, OUTPUTS = "photos", ("defocus", "steps")  # names in the graph
WEIGHTS_HASH = "weights_sha256"  # metadata key: hash of the file that a graph without weights takes them from


WITHOUT_VNNI = {"SSE41", "AVX", "AVX2", "AVX512_CORE"}  # values of ONEDNN_MAX_CPU_ISA


class EngineError(UserError):
    """The engine is not available on this machine. The message says what to do."""


class Probabilities(NamedTuple):
    """Probabilities of defocus, float32 in [0, 1].

    `defocus`: B×S×S; `steps`: B×K×h×w, the maps of the last recurrent steps on the network's grid.
    """

    defocus: np.ndarray
    steps: np.ndarray


class Engine(Protocol):
    """Runs one network. Engines that differ in `name` or `precision` may give different numbers."""

    name: str
    precision: str

    def __call__(self, x: np.ndarray) -> Probabilities:
        """Return the probabilities of normalised photos `x`, float32 B×3×S×S in any memory layout."""


class OnnxRuntime:
    """Runs `model`, an ONNX file or its content, in the file's precision: fp32 or int8.

    `facts`: the file's metadata, by name.

    Raises:
        EngineError: bf16 was asked for, or the package is not installed.
    """

    name = "onnx"

    def __init__(self, model: bytes | Path, threads: int, size: int | None = None, precision: str = "fp32"):
        if precision == "bf16":
            raise EngineError("the engine onnx does not calculate in bf16: use the engine openvino or torch")
        self.precision = precision
        _check_int8(precision)
        runtime = package("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors only
        source = model if isinstance(model, bytes) else str(model)
        self.session = runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self.facts = self.session.get_modelmeta().custom_metadata_map

    def __call__(self, x: np.ndarray) -> Probabilities:
        return Probabilities(*self.session.run(OUTPUTS, {INPUT: np.ascontiguousarray(x)}))


class OpenVino:
    """Runs `model`: an ONNX file, its content, or an OpenVINO .xml. A file in int8 runs in int8.

    If `size` is given, all photos are S×S with S = `size`, and are processed one by one. OpenVINO needs fewer
    operations when it knows the shapes, and the data of a single photo stays in the cache.

    Raises:
        EngineError: this processor does not support the precision, or the package is not installed.
    """

    name = "openvino"

    def __init__(self, model: bytes | Path, threads: int, size: int | None = None, precision: str = "fp32"):
        self.precision = precision
        _check_int8(precision)
        core = openvino_core(package("openvino"))
        graph = core.read_model(model if isinstance(model, bytes) else str(model))
        self.one_by_one = size is not None
        if self.one_by_one:
            graph.reshape([1, 3, size, size])
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "PERFORMANCE_HINT": "LATENCY",  # all threads work on one photo or batch: batches arrive one after the other
            "ENABLE_CPU_PINNING": False,  # several processes would all pin themselves to the same cores
        }
        refusal = EngineError(f"OpenVINO cannot compute in {precision} on this processor: use the precision fp32")
        try:
            self.compiled = core.compile_model(graph, "CPU", settings)
        except RuntimeError:
            if precision != "bf16":
                raise
            raise refusal from None
        used = self.compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if (used == "bf16") != (precision == "bf16"):  # OpenVINO may ignore a hint
            raise refusal

    def __call__(self, x: np.ndarray) -> Probabilities:
        x = np.ascontiguousarray(x)
        outputs = [self.compiled(part) for part in (np.split(x, len(x)) if self.one_by_one else [x])]
        return Probabilities(*(np.concatenate([output[name] for output in outputs]) for name in OUTPUTS))


def check_choice(engine: str, precision: str, threads: int | None) -> None:
    """Raise EngineError if there is no such engine or precision, or if it would have no thread."""
    for kind, name, known in (("engine", engine, ENGINES), ("precision", precision, PRECISIONS)):
        if name not in (*known, "auto"):
            raise EngineError(f"no {kind} {name!r}: use one of {', '.join(known)}, or auto")
    if threads is not None and threads < 1:
        raise EngineError(f"threads {threads}: give a number from 1, or None for as many as there is room for")


def _check_int8(precision: str) -> None:
    """Raise EngineError if int8 is asked for and the processor has no 8-bit dot product.

    Without one, products are summed in 16 bits, which overflows: maps came out wrong by 0.09 on average.
    """
    if precision == "int8" and not native_int8():
        raise EngineError("this processor cannot compute exactly in int8 (it has no VNNI): use the precision fp32")


def native_int8() -> bool:
    """Return whether the processor sums products of 8-bit numbers without overflow (VNNI, AMX, ARM's dot product).

    With ONEDNN_MAX_CPU_ISA=AVX2 a newer processor behaves like an older one.
    """
    if os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in WITHOUT_VNNI:
        return False
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return False
    return bool(flags & {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"})


@cache
def openvino_core(openvino: ModuleType) -> Any:
    """Return OpenVINO's core, always the same one in a process; `openvino` is its package.

    Every new core loads the CPU plugin again. The plugin gives the thread a stack for signal handlers, and takes it
    back when the core and its models are gone. If two cores go in the order in which they came, the thread is left with
    a freed stack, and the next signal (Ctrl-C, for example) ends the process with SIGSEGV (seen with OpenVINO
    2026.4.1).
    """
    return openvino.Core()


RUNTIMES: dict[str, Callable[..., Engine]] = {"onnx": OnnxRuntime, "openvino": OpenVino}


def package(name: str) -> ModuleType:
    """Import a package that not every installation has.

    Raises:
        EngineError: the package is not installed, or cannot be loaded on this machine.
    """
    if name in ("openvino", "nncf"):
        # None blocks the import, which would send usage statistics
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return importlib.import_module(name)
    except ImportError as error:
        whole = name.partition(".")[0]
        remedy = f"`{missing.install(missing.BROUGHT_BY.get(whole, whole))}`"
        instead = "" if whole == "nncf" else ", or use the engine torch"
        raise EngineError(f"{name} cannot be loaded ({error}): {remedy}{instead}") from None
