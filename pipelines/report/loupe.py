"""The loupe: crops of a photo at 1:1, from its sharpest place and from the middle of the region in focus.

The crops of a photo are stored side by side in one file. Its name states the photo's content hash, the boxes, and the
positions of the crops: 0f3a…-s100.80.300.280-f0.0.900.700@88.68_402.310.crops.
"""

from __future__ import annotations

import re

import cv2
import numpy as np

from pipelines.library.columns import Row
from r2mrf.imaging.resize import resize

SIDE = 224  # pixels: side of a crop
BOXES = ("sharpest", "focus")  # columns NAME_x0, NAME_y0, NAME_x1, NAME_y1, in the order of the crops
CELL = 16  # pixels: detail is compared in squares of this side
SUFFIX = ".crops"

Corner = tuple[int, int]  # left and top of a crop, in pixels of the photo


def boxes_of(row: Row) -> dict[str, tuple[int, int, int, int]]:
    """Return the boxes of a scored row by name, as x0, y0, x1, y1; empty or impossible ones are left out."""
    found = {}
    for name in BOXES:
        edges = [getattr(row, f"{name}_{edge}") for edge in ("x0", "y0", "x1", "y1")]
        x0, y0, x1, y1 = (-1 if edge is None else edge for edge in edges)
        if 0 <= x0 < x1 <= (row.width or 0) and 0 <= y0 < y1 <= (row.height or 0):
            found[name] = (x0, y0, x1, y1)
    return found


def key_of(row: Row) -> str | None:
    """Return the beginning of the file name of a row's crops, or None if the row has no box."""
    boxes = [name[0] + ".".join(map(str, box)) for name, box in boxes_of(row).items()]
    return "-".join([(row.content_sha256 or "")[:32], *boxes]) if boxes else None


def name_of(key: str, corners: list[Corner]) -> str:
    """Return the file name of crops that were cut at these corners."""
    return f"{key}@{'_'.join(f'{left}.{top}' for left, top in corners)}{SUFFIX}"


def parse(name: str) -> tuple[str, list[Corner]] | None:
    """Return key and corners from a file name of crops, or None for any other name."""
    found = re.fullmatch(r"([0-9a-f]{32}[-sf.\d]+)@(\d+\.\d+(?:_\d+\.\d+)*)" + re.escape(SUFFIX), name)
    if not found:
        return None
    pairs = (corner.split(".") for corner in found[2].split("_"))
    return found[1], [(int(left), int(top)) for left, top in pairs]


def crops(rgb: np.ndarray, row: Row) -> tuple[np.ndarray, list[Corner]]:
    """Cut the crops out of a photo as displayed, uint8 H×W×3.

    The crop of the sharpest place shows its middle. The middle of the focus box is often not in focus itself, so that
    crop shows a place with much detail near the middle.

    Returns:
        The crops side by side, uint8 h×(n·w)×3 with h and w at most `SIDE`, and their positions in the photo.
    """
    height, width = rgb.shape[:2]
    tall, wide = min(SIDE, height), min(SIDE, width)
    found, corners = [], []
    for name, (x0, y0, x1, y1) in boxes_of(row).items():
        # a wrong table may name places beyond the photo
        x0, x1, y0, y1 = min(x0, width - 1), min(x1, width), min(y0, height - 1), min(y1, height)
        x, y = (x0 + x1) // 2, (y0 + y1) // 2
        if name == "focus":
            across, down = _detailed(rgb[y0:y1, x0:x1])
            x, y = x0 + across, y0 + down
        left, top = min(max(x - wide // 2, 0), width - wide), min(max(y - tall // 2, 0), height - tall)
        found.append(rgb[top : top + tall, left : left + wide])
        corners.append((left, top))
    return np.concatenate(found, axis=1), corners


def _detailed(rgb: np.ndarray) -> tuple[int, int]:
    """Return x and y of a place with much detail near the middle of a picture, uint8 H×W×3."""
    height, width = rgb.shape[:2]
    grey = cv2.GaussianBlur(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (3, 3), 0)
    edges = cv2.convertScaleAbs(cv2.Laplacian(grey, cv2.CV_16S))
    cells = max(height // CELL, 1), max(width // CELL, 1)
    detail = cv2.blur(resize(edges, *cells).astype(np.float32), (SIDE // CELL,) * 2, borderType=cv2.BORDER_REFLECT)
    down, across = (np.exp(-0.5 * np.linspace(-2, 2, n) ** 2) for n in cells)  # sigma: a quarter of a side
    y, x = np.unravel_index((detail * np.outer(down, across)).argmax(), cells)
    return int((x + 0.5) * width / cells[1]), int((y + 0.5) * height / cells[0])
