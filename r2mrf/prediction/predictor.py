"""Predicts the defocus map of a photo, at the photo's own size.

    predictor = Predictor.load("lite")
    defocus = predictor(rgb)                    # uint8 H×W×3 -> float32 H×W in [0, 1], 1 = defocused

A model's name is `lite`, its folder, or its address in a registry.
"""

from __future__ import annotations

from pathlib import Path

from r2mrf.engines import choose
from r2mrf.engines.pytorch import Torch
from r2mrf.engines.runtimes import Engine
from r2mrf.network import checkpoint as checkpoints
from r2mrf.network.checkpoint import Checkpoint
from r2mrf.network.model_folder import locate
from r2mrf.prediction.analyser import Analyser


class Predictor(Analyser):
    """A trained network, ready for photos. Call it as described in `Analyser`.

    Attributes:
        network: the torch module in evaluation mode; takes normalised B×3×H×W. The engine runs a copy of it, so later
            changes to this module do not change any map.
        checkpoint: architecture, facts about the training, content hash.
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
        """Load a model by name: `lite` (the released weights), a model folder, or `models:/NAME@ALIAS` in a registry.

        Args:
            engine: `torch`, `onnx`, `openvino`, or `auto`, the fastest on this machine in a short trial.
            threads: number of threads for the engine; None: as many as torch uses.
            precision: `fp32`, which gives a photo the same map on every machine; `bf16`; `int8`, if the model has that
                form; or `auto`, the fastest one that agrees with fp32 in a short trial.

        Raises:
            CheckpointError: there is no such model, or it cannot be used.
            EngineError: there is no such engine, or `threads` is below 1, or the engine's package is not installed, or
                the engine lacks the precision.
            GraphError: the network cannot be converted for the engine.
        """
        checkpoint = checkpoints.load(locate(str(name)))
        return cls(checkpoint, choose.create(engine, checkpoint, threads, precision))
