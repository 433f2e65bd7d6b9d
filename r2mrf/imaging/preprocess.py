"""Preprocessing: turns a photo into the network's input, and the network's output into a map of the photo's size.

Training, evaluation, registry and scoring all use it. It follows the usual protocol: the whole photo is resized to one
square (320×320 in most published work) and its aspect ratio is not kept. A photo whose sides are both smaller than the
square is not enlarged, which would blur it: it is placed in the square and continued by reflection.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from r2mrf.imaging.resize import lay_in, resize

# A model names the version that it was trained for, and no other is accepted: raise it only if models must be trained
# anew. A change that merely gives some photos other numbers raises `prediction.record.VERSION`.
VERSION = 1


@dataclass(frozen=True)
class Preprocess:
    """`size`: side of the square that the network sees; `mean`, `std`: per RGB channel, for values in [0, 1]."""

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    version: int = VERSION

    def __post_init__(self):
        if self.version != VERSION:
            raise ValueError(
                f"the model was made for preprocessing version {self.version}, but this is version {VERSION}: "
                "install the r2mrf release that made it, or train it again"
            )

    def shrink(self, rgb: np.ndarray) -> np.ndarray:
        """Bring a photo to the network's input size: uint8 H×W×3 -> uint8 size×size×3."""
        return lay_in(rgb, self.size) if max(rgb.shape[:2]) <= self.size else resize(rgb, self.size, self.size)

    def normalise(self, rgb: np.ndarray) -> np.ndarray:
        """Normalise pixels: uint8 [B×]H×W×3 -> float32 [B×]3×H×W, channels-last in memory, which is faster."""
        scale = 1 / (255 * np.asarray(self.std, np.float32))
        shift = -np.asarray(self.mean, np.float32) / np.asarray(self.std, np.float32)
        return np.moveaxis(rgb * scale + shift, -1, -3)

    def expand(self, defocus: np.ndarray, height: int, width: int) -> np.ndarray:
        """Bring a map back to the photo's size: float32 H×W in [0, 1] -> float32 height×width in [0, 1]."""
        return resize(visible(defocus, height, width), height, width).clip(0, 1)

    def to_dict(self) -> dict:
        """Return the values that model.json stores."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> Preprocess:
        """Build from the values in a model.json; raises ValueError if they are invalid or from another version."""
        if not isinstance(values, dict):
            raise ValueError("preprocess must hold keys and values")
        if unknown := values.keys() ^ {"size", "mean", "std", "version"}:
            raise ValueError(f"preprocess: the keys {', '.join(sorted(unknown))} are missing or unknown")
        size, version = values["size"], values["version"]
        if not isinstance(size, int) or not 1 <= size <= 4096:
            raise ValueError(f"preprocess: size {size} is not a whole number from 1 to 4096")
        for key in ("mean", "std"):
            numbers = values[key]
            sound = isinstance(numbers, list | tuple) and len(numbers) == 3
            if not sound or not all(isinstance(x, int | float) and -1000 < x < 1000 for x in numbers):
                raise ValueError(f"preprocess.{key}: must be three numbers, for red, green and blue")
        if min(values["std"]) <= 0:
            raise ValueError("preprocess.std: must be above 0")
        return cls(size, tuple(values["mean"]), tuple(values["std"]), version)


def visible(defocus: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the part of a map S×S that shows a photo of height×width; a smaller photo fills only part of it."""
    return defocus[:height, :width] if max(height, width) <= len(defocus) else defocus
