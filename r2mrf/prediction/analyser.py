"""What the network says of photos, whatever engine runs it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from r2mrf.engines.runtimes import Engine
from r2mrf.imaging.preprocess import Preprocess


class Analysis(NamedTuple):
    """`defocus`: float32 H×W in [0, 1], 1 = defocused; `confidence`: see `certainty`."""

    defocus: np.ndarray
    confidence: float


class Analyser:
    """Photos of any size in, maps of their size out.

    Attributes:
        preprocess: how photos become the network's input, and its output a map of the photo's size.
        engine: what runs the network here.
    """

    def __init__(self, preprocess: Preprocess, engine: Engine):
        self.preprocess, self.engine = preprocess, engine

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
        """uint8 B×H×W×3 as the network sees them, in use S×S by `preprocess.shrink` -> maps H×W, with confidences."""
        maps, steps = self.engine(self.preprocess.normalise(photos))
        return [Analysis(defocus, certainty(k)) for defocus, k in zip(maps, steps, strict=True)]


def certainty(steps: np.ndarray) -> float:
    """Agreement and decidedness of the last recurrent steps: K×H×W maps in [0, 1] -> 0 … 1.

    Steps that contradict each other average to 0.5, as does a step that cannot tell: both give 0.
    """
    return float(np.abs(2 * steps.mean(axis=0) - 1).mean())
