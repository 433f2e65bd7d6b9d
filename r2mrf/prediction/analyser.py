"""Turns photos into defocus maps, whatever engine runs the network."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from r2mrf.engines.runtimes import Engine
from r2mrf.imaging.blur_scale import UNMEASURED, BlurScale
from r2mrf.imaging.preprocess import Preprocess, visible
from r2mrf.prediction.radius import blur_radius
from r2mrf.prediction.views import View, at_view


class Analysis(NamedTuple):
    """A map, and how certain it is.

    `defocus`: float32 H×W in [0, 1], 1 = defocused; `certainty`: float32 h×w on the network's grid, as the function
    `certainty` defines it.
    """

    defocus: np.ndarray
    certainty: np.ndarray

    @property
    def confidence(self) -> float:
        """The mean certainty, 0 … 1."""
        return float(self.certainty.mean())

    def shown(self, height: int, width: int) -> Analysis:
        """Return the part that shows a photo of this size; a photo smaller than the network's input fills only part."""
        defocus = visible(self.defocus, height, width)
        sides = zip(defocus.shape, self.certainty.shape, self.defocus.shape, strict=True)
        rows, columns = (-(-part * cells // whole) for part, cells, whole in sides)
        return Analysis(defocus, self.certainty[:rows, :columns])


class Analyser:
    """Makes maps of photos of any size; each map has the size of its photo.

    Attributes:
        preprocess: turns photos into the network's input, and its output into maps of the photo's size.
        engine: runs the network on this machine.
        blur_scale: the blur radius that this network just notices.
    """

    def __init__(self, preprocess: Preprocess, engine: Engine, blur_scale: BlurScale = UNMEASURED):
        self.preprocess, self.engine, self.blur_scale = preprocess, engine, blur_scale

    def __call__(self, rgb: np.ndarray, view: View = "whole") -> np.ndarray:
        """Return the map of a photo: uint8 H×W×3, RGB as displayed -> float32 H×W in [0, 1], 1 = defocused.

        Args:
            view: the size at which the photo is examined: `whole` (the published protocol) shrinks it to the network's
                input; a number is the length of its long side in pixels; `full` is 1:1. See `r2mrf.prediction.views`.

        Raises:
            ValueError: the photo is not such an array or is empty, or there is no such view.
        """
        check_photo(rgb)
        return at_view(self, rgb, view)

    def blur_radius(self, rgb: np.ndarray) -> np.ndarray:
        """Return the radius of the circle of confusion at every pixel of a photo, uint8 H×W×3 -> float32 H×W.

        The radius is in pixels of the photo: 0 = in focus at 1:1; at most 5 % of the long side; NaN = cannot be
        measured.

        Raises:
            ValueError: the photo is not such an array, or is empty.
        """
        check_photo(rgb)
        return blur_radius(self, rgb)

    def analyse(self, rgb: np.ndarray) -> Analysis:
        """Return the map (float32 H×W) of a photo, uint8 H×W×3, RGB as displayed, and how certain it is.

        Raises:
            ValueError: the photo is not such an array, or is empty.
        """
        check_photo(rgb)
        small = self.analyse_batch(self.preprocess.shrink(rgb)[None])[0]
        whole = self.preprocess.expand(small.defocus, *rgb.shape[:2])
        return small.shown(*rgb.shape[:2])._replace(defocus=whole)

    def whole(self, rgb: np.ndarray) -> np.ndarray:
        """Return the map of a whole photo at the network's resolution: float32 S×S, or less for a smaller photo."""
        defocus = self.analyse_batch(self.preprocess.shrink(rgb)[None])[0].defocus
        return visible(defocus, *rgb.shape[:2])

    def analyse_batch(self, photos: np.ndarray) -> list[Analysis]:
        """Run the network on its input photos, uint8 B×S×S×3; return an `Analysis` with an S×S map for each."""
        maps, steps = self.engine(self.preprocess.normalise(photos))
        return [Analysis(defocus, certainty(k)) for defocus, k in zip(maps, steps, strict=True)]


def check_photo(rgb: np.ndarray) -> None:
    """Check that an array is a photo, uint8 H×W×3 and not empty; raise a ValueError that says what is wrong."""
    if not isinstance(rgb, np.ndarray):
        kind = type(rgb).__name__
        raise ValueError(f"a photo must be uint8 H×W×3 RGB, not {kind}: r2mrf.images.load reads one from a file")
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
        raise ValueError(f"a photo must be uint8 H×W×3 RGB, not {rgb.dtype} {rgb.shape}")


def certainty(steps: np.ndarray) -> np.ndarray:
    """Return how far the last recurrent steps agree and are close to 0 or 1: K×H×W maps in [0, 1] -> H×W, 0 … 1.

    Where steps contradict each other their mean is 0.5, as it is where they are undecided; both give 0.
    """
    return np.abs(2 * steps.mean(axis=0) - 1)
