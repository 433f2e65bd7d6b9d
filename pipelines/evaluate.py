"""Stage evaluate: measures the trained model on the test pairs, beside baselines, with figures, curves and pictures.

python -m pipelines.evaluate       # models/r2mrf on data/prepared -> reports/evaluate
"""

from __future__ import annotations

from pipelines.evaluation import evaluation_files, looks
from pipelines.evaluation.held_out import name_of
from pipelines.evaluation.methods import compare_methods, fitted_baselines
from pipelines.project.folders import MODEL, PREPARED, REPORTS
from pipelines.project.stage import main
from pipelines.storage.outputs import local_copy
from r2mrf.config import Config
from r2mrf.data import shards
from r2mrf.prediction.predictor import Predictor


def evaluate(config: Config) -> None:
    """Measure the trained model and the baselines. All methods see the same photos once."""
    predictor = Predictor.load(local_copy(MODEL))
    pairs = shards.read(local_copy(PREPARED), "test-*.parquet")
    looks.note(config, predictor.checkpoint.name, name_of(pairs), "evaluate")
    compared = compare_methods(predictor, fitted_baselines(config, predictor.preprocess.size), pairs)
    evaluation_files.write(compared, predictor.checkpoint, pairs, REPORTS / "evaluate")
    evaluation_files.draw(compared, pairs, config.evaluate.gallery, REPORTS / "evaluate")
    for name, value in compared.network.counts.summary().items():
        print(f"{name:24} {value:.4f}" if isinstance(value, float) else f"{name:24} {value}")
    for row in (method.row() for method in compared.methods):
        figures = f"F {row['f_05']:.3f}, MAE {row['mae']:.3f}, IoU {row['iou']:.3f}"
        print(f"{row['method']:24} {figures}, {row['seconds_a_photo']:.3g} s a photo")


if __name__ == "__main__":
    main(evaluate)
