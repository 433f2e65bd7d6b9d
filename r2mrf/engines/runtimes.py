"""Runs the network without torch: ONNX Runtime or OpenVINO behind one call.

    engine = RUNTIMES["openvino"](graph, threads=2)   # graph: what `r2mrf.engines.onnx_graph.to_onnx` wrote
    defocus, steps = engine(x)                        # normalised float32 B×3×S×S -> probabilities

Torch is not imported here: it takes seconds and half a gigabyte, and workers that only score do not need it.
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

from r2mrf.errors import UserError

INPUT, OUTPUTS = "photos", ("defocus", "steps")  # names in the graph
WEIGHTS_HASH = "weights_sha256"  # says which file a graph without weights takes them from


WITHOUT_VNNI = {"SSE41", "AVX", "AVX2", "AVX512_CORE"}  # values of ONEDNN_MAX_CPU_ISA


class EngineError(UserError):
    """An engine that cannot be had here; the message says what to do."""


class Probabilities(NamedTuple):
    """Probabilities of defocus, float32 in [0, 1].

    `defocus`: B×S×S; `steps`: B×K×h×w, the maps of the last recurrent steps on the network's grid.
    """

    defocus: np.ndarray
    steps: np.ndarray


class Engine(Protocol):
    """Runs one network. Engines whose `name` or `precision` differ may give other numbers."""

    name: str
    precision: str

    def __call__(self, x: np.ndarray) -> Probabilities:
        """Return the probabilities of normalised photos `x`, float32 B×3×S×S in any memory layout."""


class OnnxRuntime:
    """Runs `model`, an ONNX file or its content, in the precision of the file: fp32 or int8.

    `facts`: the file's metadata, by name.

    Raises:
        EngineError: bf16 is asked for, or the package is not installed.
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
    """Runs `model`: an ONNX file, its content, or an OpenVINO .xml. A file in int8 is run in int8.

    With `size`, the side S of all photos, they go through one by one: OpenVINO does fewer operations where it knows the
    shapes, and what one photo needs stays in the cache.

    Raises:
        EngineError: this processor cannot calculate in that precision, or the package is not installed.
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
            "PERFORMANCE_HINT": "LATENCY",  # all threads on one photo or batch: they come one after the other
            "ENABLE_CPU_PINNING": False,  # several processes would all pin themselves to the same cores
        }
        refusal = EngineError(f"OpenVINO cannot calculate in {precision} on this processor: use the precision fp32")
        try:
            self.compiled = core.compile_model(graph, "CPU", settings)
        except RuntimeError:
            if precision != "bf16":
                raise
            raise refusal from None
        used = self.compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if (used == "bf16") != (precision == "bf16"):  # a hint may be passed over
            raise refusal

    def __call__(self, x: np.ndarray) -> Probabilities:
        x = np.ascontiguousarray(x)
        outputs = [self.compiled(part) for part in (np.split(x, len(x)) if self.one_by_one else [x])]
        return Probabilities(*(np.concatenate([output[name] for output in outputs]) for name in OUTPUTS))


def _check_int8(precision: str) -> None:
    """Raise EngineError if int8 is asked for and the processor has no dot product of 8-bit numbers.

    Without one, products are added up in 16 bits, which overflow: maps came out wrong by 0.09 in the mean.
    """
    if precision == "int8" and not native_int8():
        raise EngineError("this processor cannot calculate in int8 exactly (it has no VNNI): use the precision fp32")


def native_int8() -> bool:
    """Return whether the processor multiplies and adds 8-bit numbers without overflow (VNNI, AMX; dot product of ARM).

    ONEDNN_MAX_CPU_ISA=AVX2 makes a newer processor behave like an older one.
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
    """Return OpenVINO's core, the same one for the life of the process; `openvino`: its package.

    Every core loads the CPU plugin anew, which gives the thread a stack for signal handlers, and takes it back when the
    core and its models are gone. When two go in the order in which they came, the thread keeps a stack that has been
    freed, and the next signal, Ctrl-C for one, ends the process with SIGSEGV (seen with OpenVINO 2026.4.1).
    """
    return openvino.Core()


RUNTIMES: dict[str, Callable[..., Engine]] = {"onnx": OnnxRuntime, "openvino": OpenVino}


def package(name: str, of: str = "") -> ModuleType:
    """Import a package that not every installation has.

    Args:
        of: the extra of r2mrf that brings it, where it is not an engine's package.

    Raises:
        EngineError: it is not installed, or cannot be loaded here.
    """
    if name in ("openvino", "nncf"):
        # None forbids the import, which would send usage statistics
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return importlib.import_module(name)
    except ImportError as error:
        mend = f'`pip install "r2mrf[{of}]"`' if of else f"`pip install {name}`, or use the engine torch"
        raise EngineError(f"{name} cannot be loaded ({error}): {mend}") from None
