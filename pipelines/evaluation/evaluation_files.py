"""Writes the files and pictures of an evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.evaluation.held_out import decoded, name_of
from pipelines.evaluation.methods import ComparedMethods
from pipelines.project import plots
from pipelines.project.tables import finite, write_csv, write_json
from r2mrf.evaluation.metrics import HALF, THRESHOLDS, Counts, f_at, f_measure
from r2mrf.evaluation.risk import excess_area, risk_coverage
from r2mrf.network.checkpoint import Checkpoint
from r2mrf.network.cost import cost_of


def write(compared: ComparedMethods, trained: Checkpoint, pairs: pa.Table, folder: Path) -> None:
    """Write metrics.json, model.json, comparison.csv, curve.csv, and photos.csv with one line per test photo."""
    counts = compared.network.counts
    excess = excess_area(_errors(counts), np.array(compared.confidences))
    figures = counts.summary() | {"confidence_excess": finite(excess)}
    write_json(folder / "metrics.json", figures | {"model": trained.name, "test_set": name_of(pairs)})
    write_json(folder / "model.json", _facts(trained))
    write_csv(folder / "comparison.csv", [method.row() for method in compared.methods])
    lines = np.round(np.stack([THRESHOLDS, *_curve(counts)], axis=1), 6).tolist()
    columns = ("threshold", "precision", "recall", "f")
    write_csv(folder / "curve.csv", [dict(zip(columns, line, strict=True)) for line in lines])
    write_csv(folder / "photos.csv", _photos(pairs["source_id"].to_pylist(), compared))


def draw(compared: ComparedMethods, pairs: pa.Table, shown: int, folder: Path) -> None:
    """Draw curves.png of all methods, risk.png of the confidence, and gallery.png of `shown` photos."""
    errors = _errors(compared.network.counts)
    orders = {"confidence": np.array(compared.confidences), "chance": np.zeros(len(errors)), "their errors": -errors}
    plots.risk({f"by {name}": risk_coverage(errors, order) for name, order in orders.items()}, folder / "risk.png")
    plots.curves({method.name: _curve(method.counts) for method in compared.methods}, folder / "curves.png")
    scores = [f_at(c, HALF) for c in compared.network.counts.images]
    grid = []
    for i in from_best_to_worst(scores, shown):
        pair = pairs.slice(i, 1)
        ((rgb, mask),) = decoded(pair)
        grid.append((f"{pair['source_id'][0]}\nF {scores[i]:.3f}", [rgb, mask, compared.maps[i]]))
    plots.gallery(grid, ["photo", "mask (white = defocused)", "map"], folder / "gallery.png")


def _errors(counts: Counts) -> np.ndarray:
    """Return the MAE of each photo."""
    return np.array([c.absolute_error for c in counts.images])


def _curve(counts: Counts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return precision, recall and F at the 256 thresholds."""
    precision, recall = counts.curve()
    return precision, recall, f_measure(precision, recall)


def _facts(trained: Checkpoint) -> dict:
    """Return name, size and cost of the model, and how it was trained."""
    cost = cost_of(trained.model)
    size = {"parameters": cost.parameters, "gmacs": round(cost.macs / 1e9, 4)}
    return {"model": trained.name, "sha256": trained.sha256} | size | {"training": trained.training}


def _photos(names: list[str], compared: ComparedMethods) -> list[dict]:
    """Return one line per photo."""
    figures = (
        {"f_05": f_at(c, HALF), "mae": c.absolute_error, "defocused": c.positive / c.pixels, "confidence": sure}
        for c, sure in zip(compared.network.counts.images, compared.confidences, strict=True)
    )
    return [
        {"source_id": name} | {figure: round(value, 6) for figure, value in of_photo.items()}
        for name, of_photo in zip(names, figures, strict=True)
    ]


def from_best_to_worst(scores: list[float], number: int) -> list[int]:
    """Return the indices of photos evenly spread over the ranking, including the best and the worst."""
    ranking = np.argsort(scores)[::-1]
    return [int(i) for i in ranking[np.unique(np.linspace(0, len(scores) - 1, number).round().astype(int))]]
