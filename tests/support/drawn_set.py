"""A data set drawn here: photos whose right half is out of focus, their masks, and what reading them finds."""

from pathlib import Path

import cv2
import numpy as np

from r2mrf import config
from r2mrf.data import pairs
from r2mrf.data.published_sets import check_counts, match_pairs
from r2mrf.errors import DataError
from tests.support.imports import ROOT

HEIGHT, WIDTH = 96, 128


def data(source: str, root: Path, white: str = "defocus") -> config.Data:
    of_the_project = config.load(ROOT / "params.yaml").data
    return of_the_project.model_copy(update={"source": source, "root": str(root), "white": white})


def photo(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Return noise whose right half is out of focus."""
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    picture[:, width // 2 :] = cv2.GaussianBlur(picture, (0, 0), 4)[:, width // 2 :]
    return picture


def blurred(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Return the mask of `photo`, 255 = defocused."""
    mask = np.zeros((height, width), np.uint8)
    mask[:, width // 2 :] = 255
    return mask


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix.lower()
    path.write_bytes(cv2.imencode(suffix, pixels)[1].tobytes())  # by content, whatever the suffix's case


def find_pairs(wanted) -> list[pairs.Pair]:
    """Return the pairs of a set without problems."""
    found, problems = match_pairs(wanted)
    if problems:
        raise DataError(*problems)
    return found


def check_pairs(found: list[pairs.Pair], source: str = "pairs") -> tuple[list[str], list[str]]:
    """Return the errors and warnings of reading a set's pairs."""
    errors, warnings = pairs.check_facts(pairs.examine(pair)[2] for pair in found)
    return errors, warnings + check_counts(found, source)
