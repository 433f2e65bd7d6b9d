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
        network: the torch module in evaluation mode; takes normalised B×3×H×W. The engine holds a copy of its own, so
            what is changed here later shows in no map.
        checkpoint: architecture, training facts, content hash.
        preprocess: how photos become its input, and its output a map of the photo's size.
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
            threads: how many the engine uses; None: as many as torch has.

        Raises:
            CheckpointError: there is no such model, or it cannot be used.
            EngineError: there is no such engine, or its package is not installed.
            GraphError: the network cannot be put in the engine's form.
        """
        checkpoint = checkpoints.load(locate(str(name)))
        return cls(checkpoint, engines.create(engine, checkpoint, threads))

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """uint8 H×W×3, RGB as displayed -> float32 H×W in [0, 1], 1 = defocused. Raises as `analyse`."""
        return self.analyse(rgb).defocus

    def analyse(self, rgb: np.ndarray) -> Analysis:
        """Map, float32 H×W, and confidence of one photo, uint8 H×W×3, RGB as displayed.

        Raises:
            ValueError: it is no such array, or an empty one.
        """
        if not isinstance(rgb, np.ndarray):
            kind = type(rgb).__name__
            raise ValueError(f"a photo must be uint8 H×W×3 RGB, not {kind}: r2mrf.images.load makes it of a file")
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
            raise ValueError(f"a photo must be uint8 H×W×3 RGB, not {rgb.dtype} {rgb.shape}")
        small = self.analyse_batch(self.preprocess.shrink(rgb)[None])[0]
        return small._replace(defocus=self.preprocess.expand(small.defocus, *rgb.shape[:2]))

    def analyse_batch(self, photos: np.ndarray) -> list[Analysis]:
        """As `analysis.analyse`: uint8 B×H×W×3 as the network sees them -> maps H×W, with their confidences."""
        return analyse(photos, self.preprocess, self.engine)
