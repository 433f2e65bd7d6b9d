"""Photo in, defocus map out, at the photo's own size.

    predictor = Predictor.load("lite")
    defocus = predictor(rgb)                    # uint8 H×W×3 -> float32 H×W in [0, 1], 1 = defocused

Models are found by name: released, in a folder, or in a registry.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from r2mrf import checkpoint as checkpoints
from r2mrf.checkpoint import Checkpoint, CheckpointError
from r2mrf.focus import certainty
from r2mrf.precision import autocast

RELEASED = Path(__file__).parent / "weights"
AGREEMENT_STEPS = 3  # last recurrent steps whose agreement makes the confidence


class Analysis(NamedTuple):
    """`defocus`: float32 H×W in [0, 1], 1 = defocused; `confidence`: see `focus.certainty`."""

    defocus: np.ndarray
    confidence: float


class Predictor:
    """A trained network, ready for photos.

    Attributes:
        network: the torch module in evaluation mode; takes normalised B×3×H×W.
        checkpoint: architecture, preprocessing, content hash.
    """

    def __init__(self, checkpoint: Checkpoint):
        self.checkpoint = checkpoint
        self.preprocess = checkpoint.preprocess
        self.network = checkpoint.network.eval().to(memory_format=torch.channels_last)

    @classmethod
    def load(cls, name: str | Path) -> Predictor:
        """Load by name: `lite` (released weights), a model folder, or `models:/NAME@ALIAS` of a registry.

        Raises:
            CheckpointError: there is no such model, or it cannot be used.
        """
        return cls(checkpoints.load(locate(str(name))))

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """uint8 H×W×3, RGB as displayed -> float32 H×W in [0, 1], 1 = defocused."""
        return self.analyse(rgb).defocus

    def analyse(self, rgb: np.ndarray) -> Analysis:
        """Map and confidence of one photo, uint8 H×W×3."""
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
            raise ValueError(f"a photo must be uint8 H×W×3 RGB, not {rgb.dtype} {rgb.shape}")
        small = self.analyse_batch(self.preprocess.shrink(rgb)[None])[0]
        return small._replace(defocus=self.preprocess.expand(small.defocus, *rgb.shape[:2]))

    @torch.inference_mode()
    def analyse_batch(self, photos: np.ndarray) -> list[Analysis]:
        """uint8 B×S×S×3, shrunk by `preprocess.shrink` -> maps S×S, with their confidences."""
        x = torch.from_numpy(self.preprocess.normalise(photos))
        with autocast("auto"):
            outputs = self.network(x)
            steps = [self.network.fuse(sides) for sides in outputs.sides[-AGREEMENT_STEPS:]]
        maps = outputs.fused.float().sigmoid()[:, 0].numpy()
        agreement = torch.cat(steps, dim=1).float().sigmoid().numpy()
        return [Analysis(defocus, certainty(k)) for defocus, k in zip(maps, agreement, strict=True)]


def locate(name: str) -> Path:
    """Name of a model -> its folder on this machine.

    Raises:
        CheckpointError: nothing here resolves such a name.
    """
    scheme, colon, _ = name.partition(":/")
    if colon:
        for resolver in entry_points(group="r2mrf.resolvers", name=scheme):
            return resolver.load()(name)
        raise CheckpointError(f"{name}: nothing installed here resolves {scheme}:/ names; give a model folder")
    return RELEASED / "lite" if name == "lite" else Path(name)
