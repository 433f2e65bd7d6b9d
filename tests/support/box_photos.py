"""Sharp photos of a box before a background, drawn here, and the folder of real ones."""

from pathlib import Path

import cv2
import numpy as np

SIDE = 160
BOX = np.s_[50:130, 40:120]  # the object, the same in the mirror
SHARED = Path(__file__).parents[3] / "shared" / "data"


def texture(seed: int, height: int = SIDE, width: int = SIDE, colour: tuple[float, ...] = (1, 1, 1)) -> np.ndarray:
    """Return a sharp surface: noise of all scales, and stripes."""
    rng = np.random.default_rng(seed)
    field = np.zeros((height, width), np.float32)
    for scale in (1, 2, 4, 8, 16):
        noise = rng.standard_normal((height // scale + 1, width // scale + 1), np.float32)
        field += 12 * cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR)
    tone = np.clip(110 + field + 20 * (np.arange(width) // 9 % 2), 5, 200)
    return np.rint(tone[..., None] * np.array(colour)).astype(np.uint8)


def photo_of_a_box(seed: int) -> np.ndarray:
    """Return a photo of a box before a background of another colour, both sharp; uint8 SIDE×SIDE×3."""
    photo = texture(seed, colour=(0.5, 0.9, 0.4))
    photo[BOX] = texture(seed + 1, colour=(1, 0.4, 0.3))[BOX]
    return photo
