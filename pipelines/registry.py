"""MLflow's model registry: `models:/NAME@ALIAS` -> a model folder on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from r2mrf.checkpoint import CheckpointError

CHECKPOINT = "checkpoint"  # the artifact of a registered model that is our model folder


def fetch(uri: str) -> Path:
    """Folder of a registered model; `r2mrf.predictor` finds this through an entry point.

    The registry is MLFLOW_TRACKING_URI's, else that of the params.yaml here.

    Raises:
        CheckpointError: no such registry, model, version or alias.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        mlflow.set_tracking_uri(address())
        folder = Path(mlflow.artifacts.download_artifacts(uri))
        artifacts = mlflow.models.Model.load(folder).flavors["python_function"]["artifacts"]
        return folder / artifacts[CHECKPOINT]["path"]
    except KeyError:
        raise CheckpointError(f"{uri} is a model of another kind: it holds no r2mrf model folder") from None
    except (MlflowException, OSError) as error:
        raise CheckpointError(
            f"{uri}: {' '.join(str(error).split())[:200]}; registry {address()}: "
            "check the name, or set MLFLOW_TRACKING_URI"
        ) from None


def absolute(uri: str) -> str:
    """A database file is named from here, and meant wherever a worker runs."""
    scheme, _, path = uri.partition(":///")
    return f"sqlite:///{Path(path).resolve()}" if scheme == "sqlite" else uri


def address() -> str:
    """Address of the tracking server or database that holds the registry."""
    from r2mrf.config import ConfigError, load

    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        return uri
    try:
        return absolute(load().tracking.uri)
    except ConfigError:
        raise CheckpointError(
            "models:/ names need a registry: set MLFLOW_TRACKING_URI, or run this where params.yaml lies"
        ) from None
