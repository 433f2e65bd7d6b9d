"""Job blur_scale: measures the blur radius that a model just notices, and writes it into its model.json.

    python -m pipelines.jobs.blur_scale [--model lite] [--photos FOLDER]    # -> blur_scale in the model's model.json
    python -m pipelines.jobs.blur_scale --check            # -> reports/blur_radius/table.csv, docs/blur_radius.png

Photographs are halved in size, so that they are sharp at 1:1, blurred in linear light by discs and Gaussians of known
radius, and developed with noise and JPEG. A Gaussian's radius is that of the disc with the same variance, 2 sigma.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from pipelines.project.folders import REPORTS
from pipelines.project.plots import measured_over_true
from pipelines.project.samples import samples
from pipelines.project.stage import run
from pipelines.project.tables import write_csv
from r2mrf.errors import UserError
from r2mrf.imaging import images
from r2mrf.imaging.blur_scale import BlurScale
from r2mrf.imaging.resize import lay_in, resize
from r2mrf.network.model_folder import amend, locate
from r2mrf.prediction.detail import judge, make_probe
from r2mrf.prediction.predictor import Predictor
from r2mrf.rendering import lens
from r2mrf.rendering.camera import Camera, to_linear

FOLDER = REPORTS / "blur_radius"
PLOT = Path("docs/blur_radius.png")
KINDS = ("disc", "gaussian")
SIDE = 480  # side of the square that is cut from a photo and blurred, in pixels
SHRINK = 2  # photo pixels per network pixel while the scale is measured
RATIOS = tuple(2 ** (step / 4) for step in range(-6, 7))  # radii to try, in network pixels
CHECKED = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 11.0, 16.0)  # radii in the table, in photo pixels
SHARP = 0.9  # an unblurred square is left out if less than this share of it is in focus


def blurred(rgb: np.ndarray, radius: float, kind: str, seed: int = 0) -> np.ndarray:
    """Blur uint8 H×W×3 in linear light by a disc or Gaussian of `radius` pixels; develop it with noise and JPEG."""
    light = to_linear(rgb)
    if radius:
        sigma = radius / 2
        light = lens.defocus(light, radius) if kind == "disc" else cv2.GaussianBlur(light, (0, 0), sigma)
    plain = Camera(contrast=0, sharpening=0)  # the photo has already been through a camera
    return plain.develop(light, np.random.default_rng(seed))[0]


def squares(photos: list[Path]) -> Iterator[np.ndarray]:
    """Yield the most textured square of each photo at half its size: uint8 S×S×3, where S is at most `SIDE`.

    Raises:
        images.ImageError: a photo cannot be read.
    """
    for photo in photos:
        rgb = images.load(photo)
        height, width = rgb.shape[0] // 2, rgb.shape[1] // 2
        half, side = resize(rgb, height, width), min(SIDE, height, width)
        detail = np.abs(cv2.Laplacian(cv2.cvtColor(half, cv2.COLOR_RGB2GRAY), cv2.CV_32F))
        sums = cv2.integral(detail)
        score = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
        y, x = np.unravel_index(score.argmax(), score.shape)
        yield half[y : y + side, x : x + side]


def measure(predictor: Predictor, tiles: list[np.ndarray]) -> BlurScale:
    """Find the radius at which the network's logit changes its sign, and the slope of the logit there.

    Raises:
        UserError: no square is in focus before it is blurred, or no logit changes its sign.
    """
    thresholds, spans = [], []
    for tile in tiles:
        if np.median(_logits(predictor, [blurred(tile, 0, "disc")])) > 0:
            continue
        for kind in KINDS:
            logits = _logits(predictor, [blurred(tile, SHRINK * ratio, kind) for ratio in RATIOS])
            if logits[0] < 0 < logits[-1]:
                octaves = np.log2(RATIOS)
                zero = np.interp(0, np.maximum.accumulate(logits), octaves)
                near = np.interp([zero - 0.5, zero + 0.5], octaves, logits)
                thresholds.append(zero)
                spans.append(np.abs(near).mean())
    if not thresholds:
        raise UserError("no photo has a textured part that this model finds in focus, and out of focus once blurred")
    print(f"{len(thresholds)} of {2 * len(tiles)} curves; thresholds {np.exp2(min(thresholds)):.2f} to "
          f"{np.exp2(max(thresholds)):.2f} network pixels")  # fmt: skip
    # a little less than the median: where the logit saturates, it no longer tells radii apart
    return BlurScale(round(float(np.exp2(np.median(thresholds))), 3), round(0.8 * float(np.median(spans)), 2), True)


def check(predictor: Predictor, tiles: list[np.ndarray]) -> list[dict]:
    """Return a row for each kind and radius: what `blur_radius` measures where the unblurred photo is in focus."""
    base = [predictor.blur_radius(tile) == 0 for tile in tiles]
    kept = [(tile, focused) for tile, focused in zip(tiles, base, strict=True) if focused.mean() >= SHARP]
    if not kept:
        raise UserError("none of these photos, halved in size, is in focus throughout its most textured part")
    rows = []
    for kind in KINDS:
        for radius in CHECKED:
            parts = [predictor.blur_radius(blurred(tile, radius, kind))[focused] for tile, focused in kept]
            rows.append(_row(kind, radius, len(kept), np.concatenate(parts)))
    return rows


def check_detail(predictor: Predictor, photos: list[Path]) -> list[dict]:
    """Return a row for each radius, 0 included: what `score --detail` says of photos halved and blurred all over.

    Raises:
        images.ImageError: a photo cannot be read.
    """
    found: dict[float, list[float]] = {radius: [] for radius in (0.0, *CHECKED)}
    for photo in photos:
        rgb = images.load(photo)
        half = resize(rgb, rgb.shape[0] // 2, rgb.shape[1] // 2)
        for radius in found:
            seen = blurred(half, radius, "disc") if radius else half
            probe = make_probe(seen, predictor.preprocess.size)
            (analysis,) = predictor.analyse_batch(probe.picture[None])
            told = judge(probe, analysis.defocus, predictor.blur_scale, seen.shape[:2]).sharpest_radius
            found[radius].append(np.nan if told is None else told)
    return [_row("--detail", radius, len(photos), np.array(told)) for radius, told in found.items()]


def _row(kind: str, radius: float, photos: int, found: np.ndarray) -> dict:
    """Sum up radii that were found; NaN = unknown."""
    known = found[~np.isnan(found)]
    low, middle, high = np.percentile(known, (16, 50, 84)) if len(known) else [np.nan] * 3
    error = float(np.median(np.abs(known - radius) / radius)) if len(known) and radius else np.nan
    row = {
        "kind": kind, "radius": radius, "photos": photos, "median": round(float(middle), 3),
        "low_16": round(float(low), 3), "high_84": round(float(high), 3), "error_median": round(error, 3),
        "unknown": round(float(np.isnan(found).mean()), 4), "in_focus": round(float((found == 0).mean()), 4),
    }  # fmt: skip
    print(", ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    return row


def store(model: str, scale: BlurScale) -> Path:
    """Write a scale into a model's model.json, leaving its other values as they are; return the file."""
    return amend(locate(model), {"blur_scale": scale.to_dict()})


def _logits(predictor: Predictor, tiles: list[np.ndarray]) -> np.ndarray:
    """Return the median logit of each tile, all of the same size, shrunk by `SHRINK` and without their edges."""
    side = min(len(tiles[0]) // SHRINK, predictor.preprocess.size)
    inputs = [lay_in(resize(tile, side, side), predictor.preprocess.size) for tile in tiles]
    edge = side // 8
    maps = [a.defocus[edge : side - edge, edge : side - edge] for a in predictor.analyse_batch(np.stack(inputs))]
    certain = np.array([np.median(values) for values in maps]).clip(1e-7, 1 - 1e-7)
    return np.log(certain / (1 - certain))


def blur_scale(model: str, photos: Path | None, checked: bool) -> None:
    """Measure a model's scale and store it; or check the radii that it gives, and write the table and the plot.

    Raises:
        UserError: no photo is suitable, or there is no such model.
    """
    found = sorted(path for path in photos.iterdir() if path.suffix.lower() in images.SUFFIXES) if photos else samples()
    predictor, tiles = Predictor.load(model, engine="openvino"), list(squares(found))
    if not checked:
        scale = measure(predictor, tiles)
        print(f"{store(model, scale)}: {scale}")
        return
    rows = check(predictor, tiles)
    write_csv(FOLDER / "table.csv", rows + check_detail(predictor, found))
    measured_over_true({kind: [row for row in rows if row["kind"] == kind] for kind in KINDS}, PLOT)
    print(f"{FOLDER}/table.csv, {PLOT}")


def main() -> None:
    """Run the job from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="lite", help="model folder, or lite (default)")
    parser.add_argument("--photos", type=Path, metavar="FOLDER", help="default: photos from installed packages")
    parser.add_argument("--check", action="store_true", help="measure radii with the model's present scale")
    options = parser.parse_args()
    run(lambda config: blur_scale(options.model, options.photos, options.check))


if __name__ == "__main__":
    main()
