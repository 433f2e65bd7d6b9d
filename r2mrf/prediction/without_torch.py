"""A released model that runs without torch, whose import takes seconds: for a map or two.

    analyser = without_torch.load("lite")
    defocus = analyser(rgb)                     # uint8 H×W×3 -> float32 H×W in [0, 1], 1 = defocused

A released model's folder also holds its graph, which reads its numbers from the weights file; ONNX Runtime runs it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

from r2mrf.engines.runtimes import WEIGHTS_HASH, OnnxRuntime
from r2mrf.imaging.blur_scale import BlurScale
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.prediction.analyser import Analyser
from r2mrf.system.machine import cores

FOLDER = Path(__file__).parents[1] / "weights"  # `checkpoint.RELEASED` would import torch
GRAPH = "model.onnx"

log = logging.getLogger(__name__)


def load(name: str) -> Analyser | None:
    """Load the shipped model without torch, or return None: it has another name, ONNX Runtime is not installed, or its
    files do not belong together (which the log says).

    `Predictor.load` takes every model, and says what is wrong with one.
    """
    folder = FOLDER / "lite"
    if name != "lite" or not (folder / GRAPH).is_file():
        return None
    try:
        weights, facts = (folder / "model.safetensors").read_bytes(), json.loads((folder / "model.json").read_bytes())
        engine = OnnxRuntime(folder / GRAPH, threads=cores())
        hashes = {facts["weights_sha256"], hashlib.sha256(weights).hexdigest(), engine.facts[WEIGHTS_HASH]}
        if len(hashes) > 1:
            raise ValueError(f"{folder}: its files do not belong together")
        return Analyser(Preprocess.from_dict(facts["preprocess"]), engine, BlurScale.from_facts(facts))
    except Exception as error:  # the runtime has a dozen kinds of its own
        log.warning(
            "the released model runs by torch, which starts more slowly: %s", " ".join(str(error).split())[:200]
        )
        return None
