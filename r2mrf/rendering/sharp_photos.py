"""Finds sharp photographs on disk, judges their sharpness, and splits them for training and testing.

    sources, shapes = find_sharp(Path("data/sharp_photos"))
    kept = [source for source in sources if is_sharp(images.load(source.image))]
    train, test = split_groups(kept, share=0.15, seed=0)

`composite` then renders defocus into them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from r2mrf.errors import DataError
from r2mrf.imaging.images import SUFFIXES

_DETAIL = 3.0  # grey levels RMS: a window with less detail says nothing about focus
_SOFT = 0.55  # a window with a lower ratio of fine to coarse detail is soft
_SHARP_SHARE, _DETAILED_SHARE = 0.85, 0.5  # shares of sharp and of detailed windows that a source photo needs
_GRAIN = 2.0  # grey levels RMS: up to this, the finest detail in a photo's smoothest part counts as noise
_VOC_CROP = re.compile(r"(\d{4}_\d{6})_\d+")  # year_photo_crop


@dataclass(frozen=True)
class Sharp:
    """A sharp photograph on disk, with its masks if it has any."""

    id: str  # unique: set/stem
    group: str  # photos of one group show the same subject and are never on both sides of a split
    image: Path
    objects: Path | None = None  # mask of the main objects, white = object
    segments: Path | None = None  # numbers of the regions, one value per region


def find_sharp(root: Path) -> tuple[list[Sharp], list[Path]]:
    """Find the sharp photos of all sets, sorted by id, and the shape masks (white = defocused), sorted.

    Below `root`, photos are sharp/SET/images/NAME.jpg, shape masks are shapes/SET/NAME.png. A set may also have
    objects/NAME.png or segments/NAME.png. The photos are listed, not opened.

    Raises:
        DataError: there is no photo; the message says where they were looked for.
    """
    sources = []
    for folder in sorted(root.glob("sharp/*/images")):
        objects, segments = (_by_stem(folder.with_name(name)) for name in ("objects", "segments"))
        for stem, path in _by_stem(folder).items():
            crop = _VOC_CROP.fullmatch(stem)
            name, group = (f"{folder.parent.name}/{part}" for part in (stem, crop[1] if crop else stem))
            sources.append(Sharp(name, group, path, objects.get(stem), segments.get(stem)))
    if not sources:
        raise DataError(
            f"{root.absolute() / 'sharp'}: no sharp photos here. Expected: sharp/SET/images/NAME.jpg, optionally with "
            "sharp/SET/objects/NAME.png (white = object) or sharp/SET/segments/NAME.png (region numbers), and "
            "shapes/SET/NAME.png (white = defocused). Put them there, or set data.root."
        )
    shapes = [path for folder in root.glob("shapes/*/") for path in _by_stem(folder).values()]
    return sorted(sources, key=lambda source: source.id), sorted(shapes)


def split_groups(sources: Iterable[Sharp], share: float, seed: int) -> tuple[list[Sharp], list[Sharp]]:
    """Split sources into (train, test), keeping their order; `share` of the groups, but at least one, is for testing.

    The groups with the smallest digest of seed and name become test groups, so adding sources later moves few of the
    others.

    Raises:
        DataError: there are fewer than two groups.
    """
    sources = list(sources)
    groups = sorted({source.group for source in sources}, key=lambda group: digest(seed, group))
    if len(groups) < 2:
        raise DataError(f"{len(groups)} group of sharp photos: a split needs at least two.")
    tests = set(groups[: min(max(1, round(share * len(groups))), len(groups) - 1)])
    return [s for s in sources if s.group not in tests], [s for s in sources if s.group in tests]


def _by_stem(folder: Path) -> dict[str, Path]:
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return {path.stem: path for path in files if path.suffix.lower() in SUFFIXES and path.name[0] != "."}


def digest(seed: int, name: str) -> int:
    """Return 64 bits of SHA-256 over seed and name: they look random and are the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:8], "big")


# Sharpness: a photo with defocus of its own would get false labels.


def is_sharp(rgb: np.ndarray) -> bool:
    """Return whether a photo, uint8 H×W×3, is sharp at pixel level in nearly all places that show any detail."""
    detailed, sharp = sharpness(rgb)
    return detailed >= _DETAILED_SHARE and sharp >= _SHARP_SHARE


def sharpness(rgb: np.ndarray) -> tuple[float, float]:
    """Return the share of a photo, uint8 H×W×3, with any detail, and the share of this with detail of pixel size.

    In windows of about 30 pixels, fine = RMS of what a Gaussian of sigma 1 removes, minus the noise; coarse = RMS of
    what lies between sigma 1 and sigma 3. A window has detail if its RMS there, or between sigma 3 and 9, exceeds 3
    grey levels. It is sharp if also coarse exceeds 3 and fine / coarse exceeds 0.55. A clean step has a ratio of 0.6 to
    0.8; sharp photos have a median of 0.95, and the same photos blurred by a disc of radius 1.2, 2 and 4 pixels have
    0.5, 0.35 and 0.23 [measured]. Measuring the detail lost by blurring follows Zhuo and Sim 2011, "Defocus map
    estimation from a single image".
    """
    grey = _grey(rgb)
    fine, coarse, coarsest = _energy(grey, 0, 1), _energy(grey, 1, 3), _energy(grey, 3, 9)
    fine -= _noise(fine) ** 2
    detailed = np.maximum(coarse, coarsest) > _DETAIL**2
    if not detailed.any():
        return 0.0, 0.0
    sharp = (coarse > _DETAIL**2) & (fine > _SOFT**2 * coarse)
    return float(detailed.mean()), float(sharp[detailed].mean())


def grain(rgb: np.ndarray) -> float:
    """Estimate a photo's noise by its smoothest windows' finest detail: uint8 H×W×3 -> RMS, 0 to 2 grey levels."""
    return _noise(_energy(_grey(rgb), 0, 1))


def _noise(fine: np.ndarray) -> float:
    return min(float(np.sqrt(np.quantile(fine, 0.02))), _GRAIN)


def _energy(grey: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return the windowed mean square of what lies between Gaussians of these two sigmas."""
    smooth = cv2.GaussianBlur(grey, (0, 0), low) if low else grey
    return cv2.GaussianBlur((smooth - cv2.GaussianBlur(grey, (0, 0), high)) ** 2, (0, 0), 8)


def _grey(rgb: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
