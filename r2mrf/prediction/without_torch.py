"""Runs a released model without torch, whose import takes seconds, to make a map or two quickly.

    analyser = without_torch.load("lite")
    defocus = analyser(rgb)                     # uint8 H×W×3 -> float32 H×W in [0, 1], 1 = defocused

A released model's folder also holds its ONNX graph without weights; ONNX Runtime reads these from the weights file.
"""

from __future__ import annotations

import logging
from pathlib import Path

from r2mrf.engines.runtimes import WEIGHTS_HASH, EngineError, OnnxRuntime, check_choice
from r2mrf.errors import one_line
from r2mrf.imaging.blur_scale import BlurScale
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.network import model_folder
from r2mrf.prediction.analyser import Analyser
from r2mrf.system import missing
from r2mrf.system.machine import cores

GRAPH = "model.onnx"

log = logging.getLogger(__name__)


class Predictor(Analyser):
    """The `r2mrf.Predictor` of an installation without torch: it runs the released weights with ONNX Runtime."""

    @classmethod
    def load(
        cls, name: str | Path, engine: str = "onnx", threads: int | None = None, precision: str = "fp32"
    ) -> Predictor:
        """Load the released weights, `lite`.

        Args:
            engine, precision: onnx (or auto) and fp32 (or auto); nothing else is available without torch.
            threads: number of threads for the engine; None: one per core.

        Raises:
            CheckpointError: there is no such model.
            EngineError: there is no such engine or precision, or `threads` is below 1, or torch is needed; the message
                then says what to install.
        """
        check_choice(engine, precision, threads)
        if str(name) != "lite":
            model_folder.read(model_folder.locate(str(name)))
            raise _needs_torch(f"the model {name}")
        if engine not in ("onnx", "auto"):
            raise _needs_torch("" if engine == "torch" else f"the engine {engine}")
        if precision not in ("fp32", "auto"):
            raise _needs_torch(f"the precision {precision}")
        analyser = load("lite", threads)
        if analyser is None:
            raise EngineError("the released model cannot be run by ONNX Runtime here: reinstall r2mrf")
        return cls(analyser.preprocess, analyser.engine, analyser.blur_scale)

    @property
    def network(self) -> object:
        """Raise EngineError, because the network is a torch module."""
        raise _needs_torch("the network")


def _needs_torch(what: str) -> EngineError:
    return EngineError(missing.sentence(what, "torch"))


def load(name: str, threads: int | None = None) -> Analyser | None:
    """Load the shipped model without torch.

    Return None if the model has another name, if ONNX Runtime is not installed, or if the shipped files do not belong
    together; the log says so in the last two cases. `Predictor.load` takes every model and raises what is wrong with
    it.
    """
    folder = model_folder.RELEASED / "lite"
    if name != "lite" or not (folder / GRAPH).is_file():
        return None
    try:
        facts = model_folder.checked_facts(model_folder.read(folder), folder)
        engine = OnnxRuntime(folder / GRAPH, threads=threads or cores())
        if engine.facts[WEIGHTS_HASH] != facts["weights_sha256"]:
            raise ValueError(f"{folder}: its files do not belong together")
        return Analyser(Preprocess.from_dict(facts["preprocess"]), engine, BlurScale.from_facts(facts))
    except Exception as error:  # ONNX Runtime has a dozen exception classes of its own
        log.warning("the released model runs with torch, which starts more slowly: %s", one_line(error))
        return None
