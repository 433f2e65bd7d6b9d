"""Stage evaluate: figures, curves and pictures of the trained model on the test pairs, with baselines beside it; and
anyone's saved maps.

python -m pipelines.evaluate       # models/r2mrf on data/prepared -> reports/evaluate
r2mrf evaluate --maps DIR --masks DIR --json FILE
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from pipelines import comparison, plots
from pipelines.comparison import Method
from pipelines.stage import MODEL, PREPARED, REPORTS, run, write_json
from pipelines.storage import here
from r2mrf import images, shards
from r2mrf.config import Config
from r2mrf.errors import UserError
from r2mrf.fingerprint import fingerprint
from r2mrf.geometry import resize
from r2mrf.metrics import HALF, THRESHOLDS, Counts, f_at, f_measure
from r2mrf.predictor import Predictor

White = Literal["defocus", "focus"]


def evaluate(config: Config) -> None:
    predictor = Predictor.load(here(MODEL))
    table = shards.read(here(PREPARED), "test-*.parquet")
    network = Method("R²MRF", predictor.checkpoint.name, predictor)
    methods = [network, *comparison.fitted_baselines(config, predictor.preprocess.size)]
    maps = []
    for row in table.to_pylist():
        rgb, mask = images.decode(row["image"]), images.decode_mask(row["mask"])
        ours, *_ = (method.add(rgb, mask) for method in methods)
        maps.append(ours)
    counts, folder = network.counts, REPORTS / "evaluate"
    made_of = {"model": predictor.checkpoint.name, "test_set": name_of(table)}
    write_json(folder / "metrics.json", counts.summary() | made_of)
    curves = {method.name: _curve(method.counts) for method in methods}
    _write_curve(curves[network.name], folder / "curve.csv")
    plots.curves(curves, folder / "curves.png")
    comparison.write(methods, folder / "comparison.csv")
    scores = [f_at(c, HALF) for c in counts.images]
    _write_photos(table["source_id"].to_pylist(), counts, folder / "photos.csv")
    chosen = _from_best_to_worst(scores, config.evaluate.gallery)
    grid = []
    for i in chosen:
        row = table.slice(i, 1).to_pylist()[0]
        pictures = [images.decode(row["image"]), images.decode_mask(row["mask"]), maps[i]]
        grid.append((f"{row['source_id']}\nF {scores[i]:.3f}", pictures))
    plots.gallery(grid, ["photo", "mask (white = defocused)", "map"], folder / "gallery.png")
    for name, value in counts.summary().items():
        print(f"{name:24} {value:.4f}" if isinstance(value, float) else f"{name:24} {value}")
    for row in (method.row() for method in methods):
        figures = f"F {row['f_05']:.3f}, MAE {row['mae']:.3f}, IoU {row['iou']:.3f}"
        print(f"{row['method']:24} {figures}, {row['seconds_a_photo']:.3g} s a photo")


def compare_folders(maps: Path, masks: Path, mask_white: White, map_white: White) -> tuple[Counts, list[str]]:
    """Score saved maps against masks of the same stem.

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


def _curve(counts: Counts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F at the 256 thresholds."""
    precision, recall = counts.curve()
    return precision, recall, f_measure(precision, recall)


def _write_curve(curve: tuple[np.ndarray, np.ndarray, np.ndarray], path: Path) -> None:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["threshold", "precision", "recall", "f"])
        rows.writerows(np.round(np.stack([THRESHOLDS, *curve], axis=1), 6).tolist())


def name_of(pairs: pa.Table) -> str:
    """Names the test set: only figures of one set may be compared."""
    return fingerprint(pairs["sha256"].to_pylist())


def _write_photos(names: list[str], counts: Counts, path: Path) -> None:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["source_id", "f_05", "mae", "defocused"])
        for name, c in zip(names, counts.images, strict=True):
            rows.writerow([name, *(round(v, 6) for v in (f_at(c, HALF), c.absolute_error, c.positive / c.pixels))])


def _from_best_to_worst(scores: list[float], number: int) -> list[int]:
    """Evenly spread over the ranking, best and worst included."""
    ranking = np.argsort(scores)[::-1]
    return [int(i) for i in ranking[np.unique(np.linspace(0, len(scores) - 1, number).round().astype(int))]]


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


if __name__ == "__main__":
    run(evaluate)
