"""`r2mrf evaluate`: anyone's saved maps against masks of the same stem."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from r2mrf.errors import UserError
from r2mrf.evaluation.metrics import Counts
from r2mrf.imaging import images
from r2mrf.imaging.resize import resize

White = Literal["defocus", "focus"]


def compare(maps: Path, masks: Path, mask_white: White, map_white: White) -> tuple[Counts, list[str]]:
    """Score the maps of a folder, at the size of their masks.

    Returns:
        The counts, and a sentence for each file that could not be compared.

    Raises:
        UserError: a folder is missing, or not a single pair was found.
    """
    found, truth = _by_stem(maps), _by_stem(masks)
    failures = [f"{found[stem]}: no mask of this stem in {masks}" for stem in sorted(found.keys() - truth.keys())]
    failures += [f"{truth[stem]}: no map of this stem in {maps}" for stem in sorted(truth.keys() - found.keys())]
    counts = Counts()
    for stem in sorted(found.keys() & truth.keys()):
        try:
            mask = _as_defocus(images.decode_mask(images.read_bytes(truth[stem])), mask_white)
            defocus = _as_defocus(images.decode_mask(images.read_bytes(found[stem])), map_white)
        except images.ImageError as error:
            failures.append(f"{found[stem]} against {truth[stem]}: {error}")
            continue
        counts.add(resize(defocus, *mask.shape), mask)
    if not counts.images:
        raise UserError(f"no map in {maps} could be compared with a mask in {masks}: " + "; ".join(failures[:3]))
    return counts, failures


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the one that holds the pictures")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            if path.stem in files:
                raise UserError(f"{files[path.stem]} and {path.name} have the same stem: keep the one that is meant")
            files[path.stem] = path
    return files


def _as_defocus(pixels: np.ndarray, white: White) -> np.ndarray:
    return pixels if white == "defocus" else 255 - pixels
