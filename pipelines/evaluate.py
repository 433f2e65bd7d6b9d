"""Stage evaluate: figures, curves and pictures of the trained model on the test pairs, with baselines beside it.

python -m pipelines.evaluate       # models/r2mrf on data/prepared -> reports/evaluate
"""

from __future__ import annotations

import numpy as np

from pipelines.evaluation.held_out import name_of
from pipelines.evaluation.methods import Method, fitted_baselines
from pipelines.project import plots
from pipelines.project.folders import MODEL, PREPARED, REPORTS
from pipelines.project.stage import main
from pipelines.project.tables import write_csv, write_json
from pipelines.storage.outputs import local_copy
from r2mrf.config import Config
from r2mrf.data import shards
from r2mrf.evaluation.metrics import HALF, THRESHOLDS, Counts, f_at, f_measure
from r2mrf.imaging import images
from r2mrf.prediction.predictor import Predictor


def evaluate(config: Config) -> None:
    """The stage: all methods see the same photos, once."""
    predictor = Predictor.load(local_copy(MODEL))
    table = shards.read(local_copy(PREPARED), "test-*.parquet")
    network = Method("R²MRF", predictor.checkpoint.name, predictor)
    methods = [network, *fitted_baselines(config, predictor.preprocess.size)]
    maps = []
    for row in table.to_pylist():
        rgb, mask = images.decode(row["image"]), images.decode_mask(row["mask"])
        ours, *_ = (method.add(rgb, mask) for method in methods)
        maps.append(ours)
    counts, folder = network.counts, REPORTS / "evaluate"
    made_of = {"model": predictor.checkpoint.name, "test_set": name_of(table)}
    write_json(folder / "metrics.json", counts.summary() | made_of)
    curves = {method.name: _curve(method.counts) for method in methods}
    write_csv(folder / "curve.csv", _thresholds(curves[network.name]))
    plots.curves(curves, folder / "curves.png")
    write_csv(folder / "comparison.csv", [method.row() for method in methods])
    scores = [f_at(c, HALF) for c in counts.images]
    write_csv(folder / "photos.csv", _photos(table["source_id"].to_pylist(), counts))
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


def _curve(counts: Counts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F at the 256 thresholds."""
    precision, recall = counts.curve()
    return precision, recall, f_measure(precision, recall)


def _thresholds(curve: tuple[np.ndarray, np.ndarray, np.ndarray]) -> list[dict]:
    """A line for each threshold."""
    lines = np.round(np.stack([THRESHOLDS, *curve], axis=1), 6).tolist()
    return [dict(zip(("threshold", "precision", "recall", "f"), line, strict=True)) for line in lines]


def _photos(names: list[str], counts: Counts) -> list[dict]:
    """A line for each photo."""
    figures = (
        {"f_05": f_at(c, HALF), "mae": c.absolute_error, "defocused": c.positive / c.pixels} for c in counts.images
    )
    return [
        {"source_id": name} | {figure: round(value, 6) for figure, value in of_photo.items()}
        for name, of_photo in zip(names, figures, strict=True)
    ]


def _from_best_to_worst(scores: list[float], number: int) -> list[int]:
    """Evenly spread over the ranking, best and worst included."""
    ranking = np.argsort(scores)[::-1]
    return [int(i) for i in ranking[np.unique(np.linspace(0, len(scores) - 1, number).round().astype(int))]]


if __name__ == "__main__":
    main(evaluate)
