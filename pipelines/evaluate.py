"""Stage evaluate: figures, curves and pictures of the trained model on the test pairs, with baselines beside it.

python -m pipelines.evaluate       # models/r2mrf on data/prepared -> reports/evaluate
"""

from __future__ import annotations

import numpy as np

from pipelines.evaluation import looks
from pipelines.evaluation.held_out import decoded, name_of
from pipelines.evaluation.methods import Method, fitted_baselines
from pipelines.project import plots
from pipelines.project.folders import MODEL, PREPARED, REPORTS
from pipelines.project.stage import main
from pipelines.project.tables import finite, write_csv, write_json
from pipelines.storage.outputs import local_copy
from r2mrf.config import Config
from r2mrf.data import shards
from r2mrf.evaluation.metrics import HALF, THRESHOLDS, Counts, f_at, f_measure
from r2mrf.evaluation.risk import excess_area, risk_coverage
from r2mrf.network.checkpoint import Checkpoint
from r2mrf.network.cost import cost_of
from r2mrf.prediction.predictor import Predictor


def evaluate(config: Config) -> None:
    """Measure the trained model and the baselines; all methods see the same photos, once."""
    predictor = Predictor.load(local_copy(MODEL))
    table = shards.read(local_copy(PREPARED), "test-*.parquet")
    confidences: list[float] = []

    def predict(rgb: np.ndarray) -> np.ndarray:
        found = predictor.analyse(rgb)
        confidences.append(found.confidence)
        return found.defocus

    network = Method("R²MRF", predictor.checkpoint.name, predict)
    methods = [network, *fitted_baselines(config, predictor.preprocess.size)]
    maps = []
    for rgb, mask in decoded(table):
        ours, *_ = (method.add(rgb, mask) for method in methods)
        maps.append(ours)
    counts, folder = network.counts, REPORTS / "evaluate"
    made_of = {"model": predictor.checkpoint.name, "test_set": name_of(table)}
    looks.note(config, predictor.checkpoint.name, made_of["test_set"], "evaluate")
    errors = np.array([c.absolute_error for c in counts.images])
    excess = excess_area(errors, np.array(confidences))
    write_json(folder / "metrics.json", counts.summary() | {"confidence_excess": finite(excess)} | made_of)
    write_json(folder / "model.json", _facts(predictor.checkpoint))
    orders = {"by confidence": np.array(confidences), "at random": np.zeros(len(errors)), "by their errors": -errors}
    plots.risk({name: risk_coverage(errors, order) for name, order in orders.items()}, folder / "risk.png")
    curves = {method.name: _curve(method.counts) for method in methods}
    write_csv(folder / "curve.csv", _thresholds(curves[network.name]))
    plots.curves(curves, folder / "curves.png")
    write_csv(folder / "comparison.csv", [method.row() for method in methods])
    scores = [f_at(c, HALF) for c in counts.images]
    write_csv(folder / "photos.csv", _photos(table["source_id"].to_pylist(), counts, confidences))
    chosen = _from_best_to_worst(scores, config.evaluate.gallery)
    grid = []
    for i in chosen:
        pair = table.slice(i, 1)
        ((rgb, mask),) = decoded(pair)
        grid.append((f"{pair['source_id'][0]}\nF {scores[i]:.3f}", [rgb, mask, maps[i]]))
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


def _facts(trained: Checkpoint) -> dict:
    """Name, size and cost of the model, and how it was trained."""
    cost = cost_of(trained.model)
    size = {"parameters": cost.parameters, "gmacs": round(cost.macs / 1e9, 4)}
    return {"model": trained.name, "sha256": trained.sha256} | size | {"training": trained.training}


def _photos(names: list[str], counts: Counts, confidences: list[float]) -> list[dict]:
    """A line for each photo."""
    figures = (
        {"f_05": f_at(c, HALF), "mae": c.absolute_error, "defocused": c.positive / c.pixels, "confidence": sure}
        for c, sure in zip(counts.images, confidences, strict=True)
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
