"""Stage register: the trained model into MLflow's registry, and `@champion` if it is the best so far.

    python -m pipelines.register       # models/r2mrf, reports/evaluate -> models:/r2mrf@challenger

Weights that stand in the registry already are not registered again.
"""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from pipelines import serving, tracking
from pipelines.registry import CHECKPOINT
from pipelines.stage import MODEL, REPORTS, run, write_json
from pipelines.storage import here
from r2mrf import checkpoint, images
from r2mrf.checkpoint import Checkpoint
from r2mrf.config import Config
from r2mrf.errors import UserError

GATE = "f_05"  # the figure by which a challenger must not be worse than the champion
NEEDED = {  # what the registered model imports, to be pinned as here
    *("mlflow", "numpy", "opencv-python", "opencv-python-headless", "pandas", "pillow", "pydantic", "pyyaml"),
    *("safetensors", "simplejpeg", "timm", "torch", "torchvision"),
}


def register(config: Config) -> None:
    trained = checkpoint.load(here(MODEL))
    figures = _figures(trained)
    client, name = tracking.client(config.tracking), config.registry.name
    version = _known(client, name, trained) or _log(config, trained, figures)
    tags = {"model_sha256": trained.sha256, GATE: figures[GATE], "test_set": figures["test_set"]}
    for tag, value in tags.items():
        client.set_model_version_tag(name, version, tag, str(value))
    client.set_registered_model_alias(name, "challenger", version)
    refusal = _refusal(client, name, version)
    if refusal is None:
        client.set_registered_model_alias(name, "champion", version)
    print(f"models:/{name}/{version} {'is the champion' if refusal is None else f'stays challenger: {refusal}'}")
    facts = {"name": name, "model": trained.name, "model_sha256": trained.sha256, "champion": refusal is None}
    write_json(REPORTS / "register" / "metrics.json", facts | {GATE: figures[GATE]})


def _figures(trained: Checkpoint) -> dict:
    path = REPORTS / "evaluate" / "metrics.json"
    if not path.is_file():
        raise UserError(f"{path} is missing: run `dvc repro evaluate` first")
    figures = json.loads(path.read_text(encoding="utf-8"))
    if figures["model"] != trained.name:
        raise UserError(f"{path} is of model {figures['model']}, not of {trained.name}: run `dvc repro evaluate` again")
    return figures


def _known(client: MlflowClient, name: str, trained: Checkpoint) -> str | None:
    """Version under which these weights are registered already."""
    versions = client.search_model_versions(f"name = '{name}'")
    same = [v.version for v in versions if v.tags.get("model_sha256") == trained.sha256]
    return str(max(same, key=int)) if same else None


def _log(config: Config, trained: Checkpoint, figures: dict) -> str:
    """Log the model and register it; returns its version."""
    with mlflow.start_run(run_id=tracking.run_for(config, "register", trained.training["fingerprint"])):
        mlflow.log_metrics({key: float(value) for key, value in figures.items() if not isinstance(value, str)})
        mlflow.log_artifacts(str(REPORTS / "evaluate"), "evaluate")
        pins = Path("requirements.txt").read_text(encoding="utf-8").split()
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=serving.__file__,
            artifacts={CHECKPOINT: str(here(MODEL))},
            code_paths=["r2mrf"],
            signature=_signature(),
            input_example=pd.DataFrame({"image": [images.encode_png(np.full((64, 64, 3), 128, np.uint8))]}),
            pip_requirements=[pin for pin in pins if pin.split("==")[0] in NEEDED],
            registered_model_name=config.registry.name,
        )
    return str(info.registered_model_version)


def _refusal(client: MlflowClient, name: str, version: str) -> str | None:
    """Why this version may not become champion; None if it may."""
    present = client.get_registered_model(name).aliases.get("champion")
    if present is None or present == version:
        return None
    champion, challenger = (client.get_model_version(name, v) for v in (present, version))
    if champion.tags.get("test_set") != challenger.tags["test_set"]:
        return f"the champion, version {present}, was evaluated on another test set; set the alias by hand if you want"
    before, now = (float(v.tags[GATE]) for v in (champion, challenger))
    return None if now >= before else f"{GATE} {now:.4f} is below the champion's {before:.4f} (version {present})"


def _signature() -> ModelSignature:
    record = {
        "status": "string", "error": "string", "width": "long", "height": "long", "content_sha256": "string",
        "blur_fraction": "double", "focus_area": "double", "focus_x0": "long", "focus_y0": "long",
        "focus_x1": "long", "focus_y1": "long", "center_blur": "double", "confidence": "double", "verdict": "string",
    }  # fmt: skip
    outputs = Schema([ColSpec(kind, name) for name, kind in record.items()])
    return ModelSignature(inputs=Schema([ColSpec("binary", "image")]), outputs=outputs)


if __name__ == "__main__":
    run(register)
