"""Reads photos with their masks and judges whether a set of such pairs can be trusted.

    image, mask, facts = examine(pair)           # reads each file once; white = defocused
    errors, warnings = check_facts(all_facts)

All problems are reported at once, as sentences that name the files.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from r2mrf.data import polarity
from r2mrf.errors import DataError
from r2mrf.imaging import images, masks
from r2mrf.imaging.resize import resize

_SUSPECT = 0.5  # focus ratio of one pair: a smooth object in focus may be this low, but so is an inverted mask
_NAMED = 8  # how many files a warning names


@dataclass(frozen=True)
class Pair:
    """A photo and its mask on disk."""

    id: str  # unique: the photo's stem, prefixed with "train-" or "test-" if each split has its own folders
    split: str  # "train" | "test"
    image: Path
    mask: Path
    white: str  # what white means in the mask: "defocus" | "focus"


@dataclass(frozen=True)
class Facts:
    """Findings about one pair, small enough to keep those of a whole set in memory."""

    pair: Pair
    errors: tuple[str, ...] = ()  # if there are any, the other fields are not filled in
    content: str = ""  # SHA-256 of the photo's pixels
    note: str = ""  # how the mask was read, a key of `masks.NOTES`
    grey: float = 0.0  # share of the mask that is neither black nor white
    defocused: float = 0.0  # share of the mask that is white
    focus_ratio: float | None = None


def read_pair(pair: Pair) -> tuple[bytes, bytes]:
    """Read a photo's file, and its mask as an 8-bit PNG at the photo's displayed size, 255 = defocused.

    A photo that its EXIF turns is returned as an upright PNG of the same pixels. Grey values of the mask are kept: they
    mark doubt.

    Raises:
        DataError: a file cannot be used, or photo and mask differ in size.
    """
    image, mask, facts = examine(pair)
    if facts.errors:
        raise DataError(*facts.errors)
    return image, mask


def examine(pair: Pair) -> tuple[bytes, bytes, Facts]:
    """Read a pair like `read_pair`, with facts about it. If the facts hold errors, the bytes are empty."""
    errors = []
    try:
        file = images.read_bytes(pair.image)
        rgb = images.decode(file)
    except images.ImageError as error:
        errors.append(f"{pair.image}: not a usable photo: {error.detail}. Replace it, or remove the pair.")
    try:
        mask, note = masks.read_mask(images.read_bytes(pair.mask))
    except images.ImageError as error:
        errors.append(f"{pair.mask}: not a usable mask: {error.detail}. Replace it, or remove the pair.")
    if not errors:
        turned, grey = images.is_turned(file), polarity.grey_share(mask)
        errors = list(_faults(pair, rgb, turned, mask, grey))
    if errors:
        return b"", b"", Facts(pair, tuple(errors))

    mask = 255 - mask if pair.white == "focus" else mask
    content = hashlib.sha256(str(rgb.shape).encode() + rgb.tobytes()).hexdigest()
    facts = Facts(pair, (), content, note, grey, float((mask > 127).mean()), focus_ratio(rgb, mask))
    return images.encode_png(rgb) if turned else file, images.encode_png(mask), facts


def focus_ratio(rgb: np.ndarray, mask: np.ndarray) -> float | None:
    """Return the mean |Laplacian| of the region in focus divided by that of the defocused region.

    Args:
        rgb: uint8 H×W×3.
        mask: uint8 H×W, 255 = defocused.

    Returns:
        See `polarity.ratio`.
    """
    height, width = mask.shape
    scale = min(1.0, 640 / max(height, width))  # at full size, the finest detail of a large photo is noise
    height, width = max(1, round(height * scale)), max(1, round(width * scale))
    rgb, mask = resize(rgb, height, width), resize(mask, height, width)
    return polarity.ratio(np.abs(cv2.Laplacian(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.CV_32F)), mask)


def check_facts(facts: Iterable[Facts]) -> tuple[list[str], list[str]]:
    """Judge a set of pairs as a whole.

    Returns:
        Errors, which mean that the set should not be used, and warnings. Both are sentences that name the files.
    """
    facts = list(facts)
    errors = [error for fact in facts for error in fact.errors]
    good = [fact for fact in facts if not fact.errors]
    warnings = list(_doubts(good))
    for split in sorted({fact.pair.split for fact in good}):
        message, refuse = _judge_polarity([fact for fact in good if fact.pair.split == split])
        if message:
            (errors if refuse else warnings).append(message)
    for same in _copies(good):
        names = " and ".join(str(pair.image) for pair in same)
        if len({pair.split for pair in same}) > 1:
            errors.append(f"{names}: the same photo is in the training set and in the test set. Keep one of them.")
        else:
            warnings.append(f"{names}: the same photo occurs more than once. Keep one of them.")
    return errors, warnings


def _faults(pair: Pair, rgb: np.ndarray, turned: bool, mask: np.ndarray, grey: float) -> Iterator[str]:
    """Yield a sentence for each problem that makes a readable pair unusable."""
    (height, width), (h, w) = rgb.shape[:2], mask.shape
    if (height, width) != (h, w) == (width, height) and turned:
        yield (
            f"{pair.mask}: drawn for {pair.image.name} as it is stored, but the photo's EXIF turns it for display. "
            "Turn the mask likewise, or remove the orientation from the photo's EXIF."
        )
    elif (height, width) != (h, w):
        yield (
            f"{pair.mask}: {w}×{h} pixels, but its photo {pair.image.name} has {width}×{height}. "
            "Resize the mask to the photo's size, or remove the pair."
        )
    if grey > polarity.MOST_GREY:
        yield (
            f"{pair.mask}: {grey:.0%} of its pixels are neither black nor white, so it is not a mask. Threshold it, or "
            "check whether photos and masks are swapped."
        )


def _doubts(facts: list[Facts]) -> Iterator[str]:
    """Yield a warning for each kind of doubtful mask, naming the files."""
    kinds = {f"masks {words}": [fact for fact in facts if fact.note == note] for note, words in masks.NOTES.items()} | {
        f"partly grey, up to {max((fact.grey for fact in facts), default=0):.1%}; grey is read as doubt": [
            fact for fact in facts if fact.grey > 0
        ],
        "entirely in focus; right only if nothing in the photo is blurred": [
            fact for fact in facts if fact.defocused == 0
        ],
        "entirely defocused; right only if nothing in the photo is sharp": [
            fact for fact in facts if fact.defocused == 1
        ],
        "more detail in the defocused region than in the rest; check whether it is inverted": [
            fact for fact in facts if fact.focus_ratio is not None and fact.focus_ratio < _SUSPECT
        ],
    }
    for doubt, found in kinds.items():
        if found:
            names = ", ".join(str(fact.pair.mask) for fact in found[:_NAMED])
            more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            yield f"{names}{more}: {doubt}."


def _copies(facts: list[Facts]) -> list[list[Pair]]:
    """Return the groups of pairs whose photos have identical pixels."""
    groups = defaultdict(list)
    for fact in facts:
        groups[fact.content].append(fact.pair)
    return [group for group in groups.values() if len(group) > 1]


def _judge_polarity(facts: list[Facts]) -> tuple[str, bool]:
    """Judge whether a split's masks are inverted; return a message ("" if all is well) and whether to refuse it."""
    pair = facts[0].pair
    judged = polarity.median([fact.focus_ratio for fact in facts])
    if judged is None:
        return f"{pair.mask.parent}: no mask has enough of both regions to check its polarity.", False
    ratio, number = judged
    if ratio >= polarity.UNSURE:
        return "", False
    found = (
        f"{pair.mask.parent}: with white = {pair.white} in the {pair.split} masks, the defocused regions have "
        f"{1 / ratio:.3g} times the detail of the rest (median of {number})"
    )
    if ratio >= polarity.INVERTED:
        return f"{found}: too close to tell whether the masks are inverted. Look at some of them.", False
    other = "focus" if pair.white == "defocus" else "defocus"
    return f"{found}: they are inverted. If white is {other}, set data.source: pairs and data.white: {other}.", True
