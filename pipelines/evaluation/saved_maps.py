"""`r2mrf evaluate`: compares saved maps of any origin with masks of the same stem."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from r2mrf.data import polarity
from r2mrf.errors import UserError
from r2mrf.evaluation.metrics import Counts
from r2mrf.evaluation.protocols import OWN, Positive, Published, named
from r2mrf.imaging import images, masks
from r2mrf.imaging.resize import resize

White = Literal["defocus", "focus"]


@dataclass
class ComparedMaps:
    """Maps compared with masks: their counts, a sentence for each pair that could not be compared, and remarks."""

    counts: Counts | Published
    mask_white: White
    map_white: White
    failures: list[str] = field(default_factory=list)
    remarks: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # sentence -> files
    photographs: list[str] = field(default_factory=list)  # masks that look like photographs
    ratios: list[float | None] = field(default_factory=list)  # how much more the maps find focus where the masks do

    def warnings(self) -> list[str]:
        """Return a sentence for each reason to believe that the figures mean nothing."""
        lines = []
        if self.photographs:
            lines.append(
                f"{_listed(self.photographs)}: more than {polarity.MOST_GREY:.0%} of the pixels are neither black nor "
                "white, so these look like photographs, not masks: check --masks"
            )
        judged = polarity.median(self.ratios)
        if judged and judged[0] < polarity.INVERTED:
            masks_, maps_ = (_other(white) for white in (self.mask_white, self.map_white))
            lines.append(
                f"the maps agree better with the inverted masks (median of {judged[1]}): give --mask-white {masks_} if "
                f"white means {masks_} in the masks, or --map-white {maps_} if it means {maps_} in the maps"
            )
        return lines

    def remark_lines(self) -> list[str]:
        """Return a line for each remark, with the number of files and the first few of them."""
        return [f"{len(files)} {remark} ({_listed(files)})" for remark, files in self.remarks.items()]


def compare_maps(
    maps: Path,
    truth: Path,
    mask_white: White,
    map_white: White,
    values: tuple[int, int] | None = None,
    protocol: str = OWN,
    positive: Positive | None = None,
) -> ComparedMaps:
    """Compare the maps of a folder with their masks, at the size of the masks.

    Args:
        maps, truth: folders of maps, and of masks with the same stems.
        mask_white, map_white: what white means in them.
        values: the values that mean black and white in the masks; None: find them out.
        protocol, positive: see `r2mrf.evaluation.protocols.named`.

    Raises:
        UserError: a folder is missing, no pair could be compared, or the protocol has another positive class.
    """
    found, wanted = _by_stem(maps), _by_stem(truth)
    if protocol == OWN and positive == "focus":
        raise UserError("--positive focus goes with a published protocol: add --protocol")
    result = ComparedMaps(named(protocol, positive), mask_white, map_white)
    result.failures += [
        f"{found[stem]}: no mask with this stem in {truth}" for stem in sorted(found.keys() - wanted.keys())
    ]
    result.failures += [
        f"{wanted[stem]}: no map with this stem in {maps}" for stem in sorted(wanted.keys() - found.keys())
    ]
    for stem in sorted(found.keys() & wanted.keys()):
        try:
            _add(result, found[stem], wanted[stem], values)
        except images.ImageError as error:
            result.failures.append(f"{found[stem]} compared with {wanted[stem]}: {error}")
    if not result.counts.images:
        few = "; ".join(result.failures[:3]) or "the folders contain no images"
        raise UserError(f"no map in {maps} could be compared with a mask in {truth}: {few}")
    return result


def _add(result: ComparedMaps, map_file: Path, mask_file: Path, values: tuple[int, int] | None) -> None:
    mask, mask_note = _read_mask(mask_file, values)
    defocus, map_note = masks.read_map(images.read_bytes(map_file))
    (height, width), (h, w) = mask.shape, defocus.shape
    if (h, w) == (width, height) and h != w:
        raise images.ImageError(
            "ambiguous", f"the map has {w}×{h} pixels, but the mask {width}×{height}: rotate one of them"
        )
    if abs(h * width - w * height) > max(height, width) and h != w:  # a square map may be the network's direct output
        result.remarks["maps have a different aspect ratio from their masks; they are stretched"].append(str(map_file))
    for kind, note, file in (("masks", mask_note, mask_file), ("maps", map_note, map_file)):
        if note:
            result.remarks[f"{kind} are {masks.NOTES[note]}"].append(str(file))
    defocus, mask = resize(_as_defocus(defocus, result.map_white), *mask.shape), _as_defocus(mask, result.mask_white)
    if polarity.grey_share(mask) > polarity.MOST_GREY:
        result.photographs.append(str(mask_file))
    else:
        result.ratios.append(polarity.ratio(255 - defocus, mask))
    result.counts.add(defocus, mask)


def _read_mask(file: Path, values: tuple[int, int] | None) -> masks.Mask:
    try:
        return masks.read_mask(images.read_bytes(file), values)
    except images.ImageError as error:
        if error.reason != "ambiguous":
            raise
        raise images.ImageError(error.reason, f"{error.detail}, or name its values with --mask-values") from None


def _by_stem(folder: Path) -> dict[str, Path]:
    """Return the pictures of a folder by stem, in composed Unicode form."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder: give the folder that contains the pictures")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        stem = unicodedata.normalize("NFC", path.stem)
        if path.is_file() and not path.name.startswith("."):
            if stem in files:
                raise UserError(f"{files[stem]} and {path.name} have the same stem: remove one of them")
            files[stem] = path
    return files


def _listed(files: list[str]) -> str:
    return ", ".join(files[:3]) + ", …" * (len(files) > 3)


def _other(white: White) -> White:
    return "focus" if white == "defocus" else "defocus"


def _as_defocus(pixels: np.ndarray, white: White) -> np.ndarray:
    return pixels if white == "defocus" else 255 - pixels
