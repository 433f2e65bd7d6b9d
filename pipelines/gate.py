"""Whether a model may become `@champion`: good enough by itself, and better than the present one."""

from __future__ import annotations

import mlflow
from mlflow.models import MetricThreshold
from mlflow.models.evaluation import EvaluationResult
from mlflow.models.evaluation.validation import ModelValidationFailedException

from r2mrf.config import Registry

FIGURES = ("f_05", "mae")  # what the gate looks at


def refusal(registry: Registry, challenger: dict[str, float], champion: dict[str, float] | None) -> str | None:
    """Why the challenger may not become champion; None if it may.

    Args:
        registry: limits and margin.
        challenger, champion: `FIGURES` of both, measured on the same test pairs; None: there is no champion yet.
    """
    thresholds = {
        "f_05": MetricThreshold(
            threshold=registry.least_f_05,
            min_absolute_change=registry.margin if champion else None,
            greater_is_better=True,
        ),
        "mae": MetricThreshold(threshold=registry.most_mae, greater_is_better=False),
    }
    try:
        mlflow.validate_evaluation_results(thresholds, _result(challenger), _result(champion) if champion else None)
    except ModelValidationFailedException as error:
        return " ".join(error.message.split())
    return None


def _result(figures: dict[str, float]) -> EvaluationResult:
    return EvaluationResult({name: figures[name] for name in FIGURES}, artifacts={})
