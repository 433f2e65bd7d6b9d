"""A photo in, its defocus map out, at the photo's own size.

    predictor = Predictor.load("lite")
    defocus = predictor(rgb)                    # uint8 H×W×3 -> float32 H×W in [0, 1], 1 = defocused

A model is named `lite`, by its folder, or by its address in a registry.
"""

from __future__ import annotations

from pathlib import Path

from r2mrf.engines import choose
from r2mrf.engines.pytorch import Torch
from r2mrf.engines.runtimes import Engine
from r2mrf.network import checkpoint as checkpoints
from r2mrf.network.checkpoint import Checkpoint, locate
from r2mrf.prediction.analyser import Analyser


class Predictor(Analyser):
    """A trained network, ready for photos. It is called as `Analyser` says.

    Attributes:
        network: the torch module in evaluation mode; takes normalised B×3×H×W. The engine runs a copy of it, so later
            changes to this module change no map.
        checkpoint: architecture, training facts, content hash.
        preprocess, engine: see `Analyser`; the engine is torch unless another is asked for.
    """

    def __init__(self, checkpoint: Checkpoint, engine: Engine | None = None):
        self.checkpoint = checkpoint
        self.network = checkpoint.network.eval()
        super().__init__(checkpoint.preprocess, engine or Torch(self.network), checkpoint.blur_scale)

    @classmethod
    def load(
        cls, name: str | Path, engine: str = "torch", threads: int | None = None, precision: str = "fp32"
    ) -> Predictor:
        """Load by name: `lite` (released weights), a model folder, or `models:/NAME@ALIAS` of a registry.

        Args:
            engine: `torch`, `onnx`, `openvino`, or `auto`: the one that a short trial finds fastest here.
            threads: how many the engine uses; None: as many as torch has.
            precision: `fp32`, which gives one map for one photo on every machine; `bf16`; `int8`, where the model has
                it; or `auto`, the fastest of those that a short trial finds to agree with fp32.

        Raises:
            CheckpointError: there is no such model, or it cannot be used.
            EngineError: there is no such engine, its package is not installed, or it lacks the precision.
            GraphError: the network cannot be put in the engine's form.
        """
        checkpoint = checkpoints.load(locate(str(name)))
        return cls(checkpoint, choose.create(engine, checkpoint, threads, precision))
