"""Compares methods on the same photos in the same run: the network, and baselines fitted on training pairs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipelines.evaluation.held_out import FIGURES, decoded
from pipelines.project.folders import PREPARED
from pipelines.storage.outputs import local_copy
from r2mrf.config import Config
from r2mrf.data import shards
from r2mrf.evaluation.baselines import MEASURES, Baseline, fit
from r2mrf.evaluation.metrics import Counts
from r2mrf.imaging.maps import to_uint8
from r2mrf.prediction.predictor import Predictor

NAMES = {"laplacian": "Laplacian energy", "gradient": "gradient energy", "frequency": "high frequencies"}


@dataclass
class Method:
    """A method that maps photos, with its measurements so far. `setting` describes it for people."""

    name: str
    setting: str
    predict: Callable[[np.ndarray], np.ndarray]
    counts: Counts = field(default_factory=Counts)
    seconds: float = 0.0
    pixels: int = 0

    def add(self, rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Time and count one photo; return its map, uint8 H×W."""
        began = time.perf_counter()
        defocus = self.predict(rgb)
        self.seconds += time.perf_counter() - began
        self.pixels += mask.size
        stored = to_uint8(defocus)
        self.counts.add(stored, mask)
        return stored

    def row(self) -> dict:
        """Return the method's line of the table."""
        summary, photos = self.counts.summary(), len(self.counts.images)
        rates = {"seconds_a_photo": self.seconds / photos, "megapixels_a_second": self.pixels / 1e6 / self.seconds}
        figures = {name: summary[name] for name in FIGURES} | rates
        return {
            "method": self.name,
            "setting": self.setting,
            **{name: float(f"{value:.6g}") for name, value in figures.items()},
            "photos": photos,
        }


@dataclass(frozen=True)
class ComparedMethods:
    """Methods that saw the same photos, and the maps (uint8 H×W) and confidences of the first one, the network."""

    methods: list[Method]
    maps: list[np.ndarray]
    confidences: list[float]

    @property
    def network(self) -> Method:
        """The first method."""
        return self.methods[0]


def compare_methods(predictor: Predictor, baselines: list[Method], pairs: pa.Table) -> ComparedMethods:
    """Run every method once on each photo of a table with the columns image and mask."""
    confidences: list[float] = []

    def predict(rgb: np.ndarray) -> np.ndarray:
        found = predictor.analyse(rgb)
        confidences.append(found.confidence)
        return found.defocus

    compared = ComparedMethods([Method("R²MRF", predictor.checkpoint.name, predict), *baselines], [], confidences)
    for rgb, mask in decoded(pairs):
        ours, *_ = (method.add(rgb, mask) for method in compared.methods)
        compared.maps.append(ours)
    return compared


def fitted_baselines(config: Config, side: int) -> list[Method]:
    """Fit the baselines on training pairs: one half of those drawn sets the curves, the other half the windows."""
    table = shards.read(local_copy(PREPARED), "train-*.parquet", columns=["image", "mask"])
    drawn = np.random.default_rng([config.seed, 3]).permutation(table.num_rows)[: config.evaluate.baseline_pairs]
    pairs = list(decoded(table.take(drawn)))
    half = (len(pairs) + 1) // 2
    return [_method(fit(measure, pairs[:half], pairs[half:] or pairs, side)) for measure in MEASURES]


def _method(baseline: Baseline) -> Method:
    setting = f"window {baseline.window} of {baseline.side}, log energy × {baseline.slope:.3f} + {baseline.offset:.3f}"
    return Method(NAMES[baseline.measure], setting, baseline)
