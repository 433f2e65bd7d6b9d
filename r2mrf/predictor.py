"""Photo in, defocus map out, at the photo's own size.

    predictor = Predictor.load("lite")
    defocus = predictor(rgb)                    # uint8 H×W×3 -> float32 H×W in [0, 1], 1 = defocused

Models are found by name: released, in a folder, or in a registry.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from r2mrf import checkpoint as checkpoints
from r2mrf import engines
from r2mrf.analysis import Analysis, analyse
from r2mrf.checkpoint import Checkpoint, locate
from r2mrf.engines import Torch
from r2mrf.runtimes import Engine


class Predictor:
    """A trained network, ready for photos.

    Attributes:
        network: the torch module in evaluation mode; takes normalised B×3×H×W.
        checkpoint: architecture, preprocessing, content hash.
        engine: what runs the network here, by default torch.
    """

    def __init__(self, checkpoint: Checkpoint, engine: Engine | None = None):
        self.checkpoint = checkpoint
        self.preprocess = checkpoint.preprocess
        self.network = checkpoint.network.eval()
        self.engine = engine or Torch(self.network)

    @classmethod
    def load(cls, name: str | Path, engine: str = "torch", threads: int | None = None) -> Predictor:
        """Load by name: `lite` (released weights), a model folder, or `models:/NAME@ALIAS` of a registry.

        Args:
            engine: `torch`, `onnx`, `openvino`, or `auto`: the one that a short trial finds fastest here.
            threads: share of the cores; None: as many as torch has.

        Raises:
            CheckpointError: there is no such model, or it cannot be used.
            EngineError: there is no such engine, or its package is not installed.
        """
        checkpoint = checkpoints.load(locate(str(name)))
        return cls(checkpoint, engines.create(engine, checkpoint, threads))

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """uint8 H×W×3, RGB as displayed -> float32 H×W in [0, 1], 1 = defocused."""
        return self.analyse(rgb).defocus

    def analyse(self, rgb: np.ndarray) -> Analysis:
        """Map and confidence of one photo, uint8 H×W×3."""
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
            raise ValueError(f"a photo must be uint8 H×W×3 RGB, not {rgb.dtype} {rgb.shape}")
        small = self.analyse_batch(self.preprocess.shrink(rgb)[None])[0]
        return small._replace(defocus=self.preprocess.expand(small.defocus, *rgb.shape[:2]))

    def analyse_batch(self, photos: np.ndarray) -> list[Analysis]:
        """uint8 B×S×S×3, shrunk by `preprocess.shrink` -> maps S×S, with their confidences."""
        return analyse(photos, self.preprocess, self.engine)
