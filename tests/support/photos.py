"""Photos drawn here: noise, and scenes of soft patches."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image


def save_photo(path: Path, size: tuple[int, int] = (60, 80), seed: int = 0, turn: int = 1) -> Path:
    """Save noise of (height, width); `turn`: EXIF orientation, 6 = shown turned by 90°."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = turn
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, exif=exif)
    return path


def save_scene(path: Path, seed: int, blur: float = 0, taken: str = "", size: tuple[int, int] = (160, 120)) -> Path:
    """Save a photo of soft patches, the same for the same seed; `blur`: sigma in pixels; `taken`: EXIF time."""
    patches = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    pixels = cv2.resize(patches, size, interpolation=cv2.INTER_CUBIC)
    if blur:
        pixels = cv2.GaussianBlur(pixels, (0, 0), blur)
    exif = Image.Exif()
    if taken:
        exif.get_ifd(0x8769)[0x9003] = taken
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=95, exif=exif)
    return path
