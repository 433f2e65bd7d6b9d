"""Check a photo's map at full view against its fine detail, which needs no network.

    python examples/fine_detail.py photo.jpg

Prints how much fine detail the parts have that the map calls in focus and out of focus, and the disc by which the
former would have to be blurred to look like the latter. Surfaces without texture are left out. If the disc is smaller
than half a pixel, the parts are equally sharp and the map is wrong; otherwise the photo is soft there. This holds as
far as both parts show the same things, such as a meadow near and far.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import cv2
import numpy as np

from r2mrf import Predictor, images
from r2mrf.errors import UserError
from r2mrf.rendering.lens import defocus as blur

TILE = 128  # pixels
MARGIN = 8  # pixels around a tile that its blur may use
FINE, COARSE = (0.25, 0.5), (0.06, 0.12)  # cycles a pixel
TEXTURE = 6  # levels of grey: least standard deviation of a tile
DISCS = (0.0, 0.7, 1.0, 1.3, 1.7, 2.2, 3.0)  # radii in pixels
FEW, ENOUGH = 10, 30  # tiles: too few for a median, and all that are blurred


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo")
    path = parser.parse_args(arguments).photo
    try:
        photo = images.load(path)
        defocus = Predictor.load("lite")(photo, "full")
    except UserError as error:
        sys.exit(str(error))
    print(f"out of focus at full view: {(defocus > 0.5).mean():.0%}")
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    sharp, soft = tiles(grey, defocus < 0.1), tiles(grey, defocus > 0.9)
    for kind, some in (("in focus", sharp), ("out of focus", soft)):
        print(f"fine detail {kind}: {median(some):.4f} (median of {len(some)} tiles)")
    if min(len(sharp), len(soft)) < FEW:
        sys.exit("too few textured tiles of one kind for a comparison")
    print(f"as if blurred by a disc of {disc(sharp, soft):.1f} pixels")


def tiles(grey: np.ndarray, chosen: np.ndarray) -> list[np.ndarray]:
    """Return the textured tiles of a photo, uint8 H×W, that lie in the chosen part, bool H×W; each with its margin."""
    return [tile for tile, part in _all_tiles(grey, chosen) if part.mean() > 0.95 and _inner(tile).std() >= TEXTURE]


def fine_detail(tile: np.ndarray) -> float:
    """Return the energy of a tile's fine detail, relative to that of its coarse detail."""
    inner = _inner(tile).astype(np.float64)
    energy = np.abs(np.fft.fft2((inner - inner.mean()) * np.outer(np.hanning(TILE), np.hanning(TILE)))) ** 2
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.fftfreq(TILE))
    fine, coarse = (energy[(frequency > low) & (frequency < high)].mean() for low, high in (FINE, COARSE))
    return float(fine / coarse)


def median(some: list[np.ndarray]) -> float:
    """Return the median of the fine detail of tiles; NaN if there are none."""
    return float(np.median([fine_detail(tile) for tile in some])) if some else float("nan")


def disc(sharp: list[np.ndarray], soft: list[np.ndarray]) -> float:
    """Return the radius of the disc, in pixels, that leaves as much fine detail in sharp tiles as soft ones have."""
    some = sharp[:: -(-len(sharp) // ENOUGH)]
    left = [median([_blurred(tile, radius) for tile in some]) for radius in DISCS]
    return float(np.interp(-np.log(median(soft)), -np.log(np.minimum.accumulate(left)), DISCS))


def _all_tiles(grey: np.ndarray, chosen: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    side, (height, width) = TILE + 2 * MARGIN, grey.shape
    for y in range(0, height - side + 1, TILE // 2):
        for x in range(0, width - side + 1, TILE // 2):
            yield grey[y : y + side, x : x + side], chosen[y : y + side, x : x + side]


def _inner(tile: np.ndarray) -> np.ndarray:
    return tile[MARGIN:-MARGIN, MARGIN:-MARGIN]


def _blurred(tile: np.ndarray, radius: float) -> np.ndarray:
    if not radius:
        return tile
    colours = np.repeat(tile[..., None].astype(np.float32) / 255, 3, axis=2)
    return blur(colours, radius)[..., 0] * 255


if __name__ == "__main__":
    main()
