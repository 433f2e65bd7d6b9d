"""Check a photo's map at full view against its fine detail, which needs no network.

    python examples/fine_detail.py photo.jpg

Prints how much fine detail the parts have that the map calls in focus and out of focus, and the disc by which the
former would have to be blurred to look like the latter. Only tiles with texture count. If the disc is smaller than half
a pixel, the parts are equally sharp and the map is wrong; otherwise the photo is soft there. This holds as far as both
parts show the same things, such as a meadow near and far. The program says that it cannot tell if one of the parts has
hardly any texture, as where the blur has left none, or if the fine detail out of focus may be noise.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from r2mrf import Predictor, images
from r2mrf.errors import UserError
from r2mrf.rendering.lens import defocus as blur

TILE = 128  # pixels
MARGIN = 8  # pixels around a tile that its blur may use
COARSE, FINE, FINEST = (0.06, 0.12), (0.25, 0.5), (0.5, 0.71)  # cycles a pixel
TEXTURE, SMOOTH = 3.0, 1.0  # levels of grey, standard deviation of coarse detail: least with texture, most without
NOISE = 0.15  # largest share of noise in the fine detail out of focus; more would make the disc too small
DISCS = (0.0, 0.7, 1.0, 1.3, 1.7, 2.2, 3.0)  # radii in pixels
FEW, ENOUGH = 10, 30  # tiles: too few for a median, and all that are blurred


class Detail(NamedTuple):
    """Mean energy of a tile's frequencies in three bands: squared levels of grey."""

    coarse: float
    fine: float
    finest: float


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
        found = f"{median(some):.4f} (median of {len(some)} tiles with texture)" if some else "no tile with texture"
        print(f"fine detail {kind}: {found}")
    if reason := doubt(grey, sharp, soft):
        sys.exit(f"cannot tell whether the map is right: {reason}")
    print(f"as if blurred by a disc of {disc(sharp, soft):.1f} pixels")


def tiles(grey: np.ndarray, chosen: np.ndarray) -> list[np.ndarray]:
    """Return the textured tiles of a photo, uint8 H×W, that lie in the chosen part, bool H×W; each with its margin."""
    return [tile for tile, part in _all_tiles(grey, chosen) if part.mean() > 0.95 and texture(tile) >= TEXTURE]


def detail(tile: np.ndarray) -> Detail:
    """Return a tile's detail. White noise of variance v has v in each band."""
    inner, window = _inner(tile).astype(np.float64), np.outer(np.hanning(TILE), np.hanning(TILE))
    energy = np.abs(np.fft.fft2((inner - inner.mean()) * window)) ** 2 / (window**2).sum()
    return Detail(*(float(energy[_within(band)].mean()) for band in (COARSE, FINE, FINEST)))


def texture(tile: np.ndarray) -> float:
    """Return the standard deviation of a tile's coarse detail, in levels of grey."""
    return float(np.sqrt(detail(tile).coarse * _within(COARSE).mean()))


def median(some: list[np.ndarray]) -> float:
    """Return the median, over tiles, of fine detail relative to coarse detail."""
    return float(np.median([found.fine / found.coarse for found in map(detail, some)]))


def doubt(grey: np.ndarray, sharp: list[np.ndarray], soft: list[np.ndarray]) -> str | None:
    """Say why a photo's sharp and soft tiles cannot be compared; None if they can.

    Noise is the fine detail that nine in ten smooth tiles of the photo do not exceed, or the finest detail of the soft
    tiles if that is more.
    """
    if min(len(sharp), len(soft)) < FEW:
        return f"fewer than {FEW} tiles with texture are {'in' if len(sharp) < FEW else 'out of'} focus"
    everywhere = [tile for tile, _ in _all_tiles(grey, grey)]
    smooth = [detail(tile).fine for tile in everywhere if texture(tile) < SMOOTH]
    found = [detail(tile) for tile in soft]
    noise = max(np.median([one.finest for one in found]), np.quantile(smooth, 0.9) if smooth else 0.0)
    share = noise / np.median([one.fine for one in found])
    return f"up to {min(share, 1):.0%} of the fine detail out of focus may be noise" if share > NOISE else None


def disc(sharp: list[np.ndarray], soft: list[np.ndarray]) -> float:
    """Return the radius of the disc, in pixels, that leaves as much fine detail in sharp tiles as soft ones have."""
    some = sharp[:: -(-len(sharp) // ENOUGH)]
    left = [median([_blurred(tile, radius) for tile in some]) for radius in DISCS]
    return float(np.interp(-np.log(median(soft)), -np.log(np.minimum.accumulate(left)), DISCS))


def _within(band: tuple[float, float]) -> np.ndarray:
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.fftfreq(TILE))
    return (frequency > band[0]) & (frequency < band[1])


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
