"""Photos in, defocus maps out, whatever engine runs the network."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from r2mrf.engines.runtimes import Engine
from r2mrf.imaging.blur_scale import UNMEASURED, BlurScale
from r2mrf.imaging.preprocess import Preprocess, visible
from r2mrf.prediction.radius import blur_radius
from r2mrf.prediction.views import View, at_view


class Analysis(NamedTuple):
    """`defocus`: float32 H×W in [0, 1], 1 = defocused; `confidence`: see `certainty`."""

    defocus: np.ndarray
    confidence: float


class Analyser:
    """Makes maps of photos of any size, at their size.

    Attributes:
        preprocess: turns photos into the network's input, and its output into maps of the photo's size.
        engine: runs the network on this machine.
        blur_scale: how much blur this network tells from none.
    """

    def __init__(self, preprocess: Preprocess, engine: Engine, blur_scale: BlurScale = UNMEASURED):
        self.preprocess, self.engine, self.blur_scale = preprocess, engine, blur_scale

    def __call__(self, rgb: np.ndarray, view: View = "whole") -> np.ndarray:
        """Return the map of a photo: uint8 H×W×3, RGB as displayed -> float32 H×W in [0, 1], 1 = defocused.

        Args:
            view: the size at which the photo is looked at: `whole`, the published protocol, in one square of the
                network's input; a number of pixels along its long side; or `full`, 1:1. See `r2mrf.prediction.views`.

        Raises:
            ValueError: the photo is no such array, or an empty one, or there is no such view.
        """
        check_photo(rgb)
        return at_view(self, rgb, view)

    def blur_radius(self, rgb: np.ndarray) -> np.ndarray:
        """Return the radius of the circle of confusion at every pixel of a photo, uint8 H×W×3 -> float32 H×W.

        It is in pixels of the photo: 0 = in focus at 1:1; up to 5 % of the long side; NaN = nothing to tell by.

        Raises:
            ValueError: the photo is no such array, or an empty one.
        """
        check_photo(rgb)
        return blur_radius(self, rgb)

    def analyse(self, rgb: np.ndarray) -> Analysis:
        """Return map (float32 H×W) and confidence of one photo, uint8 H×W×3, RGB as displayed.

        Raises:
            ValueError: it is no such array, or an empty one.
        """
        check_photo(rgb)
        small = self.analyse_batch(self.preprocess.shrink(rgb)[None])[0]
        return small._replace(defocus=self.preprocess.expand(small.defocus, *rgb.shape[:2]))

    def whole(self, rgb: np.ndarray) -> np.ndarray:
        """Return the map of a whole photo at the size at which the network sees it, S×S or smaller; float32."""
        defocus = self.analyse_batch(self.preprocess.shrink(rgb)[None])[0].defocus
        return visible(defocus, *rgb.shape[:2])

    def analyse_batch(self, photos: np.ndarray) -> list[Analysis]:
        """Run the network on photos as it sees them, uint8 B×S×S×3; returns an `Analysis` with an S×S map for each."""
        maps, steps = self.engine(self.preprocess.normalise(photos))
        return [Analysis(defocus, certainty(k)) for defocus, k in zip(maps, steps, strict=True)]


def check_photo(rgb: np.ndarray) -> None:
    """Raise a ValueError that says what is wrong if this is no photo: uint8 H×W×3, not empty."""
    if not isinstance(rgb, np.ndarray):
        kind = type(rgb).__name__
        raise ValueError(f"a photo must be uint8 H×W×3 RGB, not {kind}: r2mrf.images.load makes it of a file")
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
        raise ValueError(f"a photo must be uint8 H×W×3 RGB, not {rgb.dtype} {rgb.shape}")


def certainty(steps: np.ndarray) -> float:
    """Return how far the last recurrent steps agree and are decided: K×H×W maps in [0, 1] -> 0 … 1.

    Steps that contradict each other average to 0.5, and so does a step that cannot tell: both give 0.
    """
    return float(np.abs(2 * steps.mean(axis=0) - 1).mean())
