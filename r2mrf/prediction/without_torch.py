"""A released model without torch, which takes seconds to import: for a map or two.

    analyser = released.load("lite")
    defocus = analyser(rgb)                     # uint8 H×W×3 -> float32 H×W in [0, 1], 1 = defocused

Beside a released model's weights stands its graph, which finds its numbers in their file; ONNX Runtime runs it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from r2mrf.engines.runtimes import WEIGHTS_HASH, OnnxRuntime
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.prediction.analyser import Analyser
from r2mrf.system.machine import cores

FOLDER = Path(__file__).parents[1] / "weights"  # as `checkpoint.RELEASED`, which comes with torch
GRAPH = "model.onnx"


def load(name: str) -> Analyser | None:
    """A released model by name; None for every other name, and where it takes torch: there is no ONNX Runtime, or the
    files do not belong together.

    `Predictor.load` takes every model, and says what is wrong with one.
    """
    folder = FOLDER / "lite"
    if name != "lite" or not (folder / GRAPH).is_file():
        return None
    try:
        weights, facts = (folder / "model.safetensors").read_bytes(), json.loads((folder / "model.json").read_bytes())
        engine = OnnxRuntime(folder / GRAPH, threads=cores())
        hashes = {facts["weights_sha256"], hashlib.sha256(weights).hexdigest(), engine.facts[WEIGHTS_HASH]}
        return Analyser(Preprocess.from_dict(facts["preprocess"]), engine) if len(hashes) == 1 else None
    except Exception:  # of whatever kind: the runtime has a dozen of its own
        return None
