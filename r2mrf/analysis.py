"""What the network says of shrunk photos, whatever engine runs it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from r2mrf.focus import certainty
from r2mrf.preprocess import Preprocess
from r2mrf.runtimes import Engine


class Analysis(NamedTuple):
    """`defocus`: float32 H×W in [0, 1], 1 = defocused; `confidence`: see `focus.certainty`."""

    defocus: np.ndarray
    confidence: float


def analyse(photos: np.ndarray, preprocess: Preprocess, engine: Engine) -> list[Analysis]:
    """uint8 B×H×W×3 as the network sees them, in use S×S by `preprocess.shrink` -> maps H×W, with their confidences."""
    maps, steps = engine(preprocess.normalise(photos))
    return [Analysis(defocus, certainty(k)) for defocus, k in zip(maps, steps, strict=True)]
