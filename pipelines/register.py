"""Stage register: the trained model into MLflow's registry, and `@champion` if it is better than the present one.

    python -m pipelines.register       # models/r2mrf, reports/evaluate -> models:/r2mrf@challenger

Weights that stand in the registry already are not registered again. What was registered last is `@challenger`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

import r2mrf
from pipelines.evaluation.held_out import decoded, name_of
from pipelines.project.folders import MODEL, PREPARED, REPORTS
from pipelines.project.stage import main
from pipelines.project.tables import write_json
from pipelines.registry import model_card, promotion, runs, serving
from pipelines.registry.models import CHECKPOINT, HASH
from pipelines.registry.provenance import LOCK, provenance
from pipelines.storage.outputs import here
from r2mrf.config import Config
from r2mrf.data import shards
from r2mrf.errors import UserError
from r2mrf.evaluation.metrics import Counts
from r2mrf.imaging import images
from r2mrf.imaging.maps import to_uint8
from r2mrf.network import checkpoint
from r2mrf.network.checkpoint import WEIGHTS, Checkpoint
from r2mrf.prediction.predictor import Predictor

NEEDED = {  # what the registered model imports, to be pinned as here
    *("mlflow", "numpy", "opencv-python", "opencv-python-headless", "pandas", "pillow", "pydantic", "pyyaml"),
    *("safetensors", "simplejpeg", "timm", "torch", "torchvision"),
}


def register(config: Config) -> None:
    """The stage: the trained model as a version, once; the aliases; its card."""
    if not MODEL.is_dir():
        raise UserError(f"{MODEL} is missing: run `dvc repro train` first")
    trained = checkpoint.load(here(MODEL))
    figures = _figures(trained)
    client, name = runs.client(config.tracking), config.registry.name
    version = _known(client, name, trained) or _log(config, trained, figures)
    _tag(client, name, version, _measured(figures))
    card = model_card.write(trained, figures, client.get_model_version(name, version).tags)
    client.update_model_version(name, version, description=card)
    client.set_registered_model_alias(name, "challenger", version)
    present = client.get_registered_model(name).aliases.get("champion")
    refusal = None
    if str(present) != version:  # a database gives a number, a server a string
        champion = _champion(client, name, str(present), figures["test_set"]) if present else None
        refusal = promotion.refusal(config.registry, figures, champion)
    _tag(client, name, version, {"gate": refusal or "passed"})
    if refusal is None:
        client.set_registered_model_alias(name, "champion", version)
    print(f"models:/{name}/{version} {'is the champion' if refusal is None else f'stays challenger: {refusal}'}")
    facts = {"name": name, "model": trained.name, "model_sha256": trained.sha256, "champion": refusal is None}
    write_json(REPORTS / "register" / "metrics.json", facts | {"f_05": figures["f_05"], "gate": refusal or "passed"})


def _figures(trained: Checkpoint) -> dict:
    path = REPORTS / "evaluate" / "metrics.json"
    if not path.is_file():
        raise UserError(f"{path} is missing: run `dvc repro evaluate` first")
    figures = json.loads(path.read_text(encoding="utf-8"))
    if figures["model"] != trained.name:
        raise UserError(f"{path} is of model {figures['model']}, not of {trained.name}: run `dvc repro evaluate` again")
    return figures


def _measured(figures: dict) -> dict:
    return {name: figures[name] for name in (*promotion.FIGURES, "test_set")}


def _tag(client: MlflowClient, name: str, version: str, tags: dict) -> None:
    for tag, value in tags.items():
        client.set_model_version_tag(name, version, tag, str(value))


def _known(client: MlflowClient, name: str, trained: Checkpoint) -> str | None:
    """Version under which these weights are registered already."""
    versions = client.search_model_versions(f"name = '{name}'")
    same = [v.version for v in versions if v.tags.get(HASH) == trained.sha256]
    return str(max(same, key=int)) if same else None


def _champion(client: MlflowClient, name: str, version: str, test_set: str) -> dict[str, float]:
    """Figures of the present champion; if they were measured on other test pairs, on those of now."""
    tags = client.get_model_version(name, version).tags
    if tags.get("test_set") != test_set:
        pairs = shards.read(here(PREPARED), "test-*.parquet")
        if name_of(pairs) != test_set:
            raise UserError(
                "reports/evaluate is of other test pairs than data/prepared: run `dvc repro evaluate` again"
            )
        print(f"models:/{name}/{version}, the champion, was evaluated on other test pairs; now on these", flush=True)
        predictor, counts = Predictor.load(f"models:/{name}/{version}"), Counts()
        for rgb, mask in decoded(pairs):
            counts.add(to_uint8(predictor(rgb)), mask)
        tags = _measured(counts.summary() | {"test_set": test_set})
        _tag(client, name, version, tags)
    return {figure: float(tags[figure]) for figure in promotion.FIGURES}


def _log(config: Config, trained: Checkpoint, figures: dict) -> str:
    """Log the model and register it; returns its version."""
    weights = hashlib.sha256((here(MODEL) / WEIGHTS).read_bytes()).hexdigest()
    made_of = provenance() | {"weights_sha256": weights, "data": trained.training.get("data", "")}
    pins = Path(__file__).parents[1].joinpath("requirements.txt").read_text(encoding="utf-8").split()
    with (
        mlflow.start_run(run_id=runs.run_for(config, "register", trained.training["fingerprint"])),
        tempfile.TemporaryDirectory() as scratch,
    ):
        ignored = shutil.ignore_patterns("weights", "__pycache__")
        code = shutil.copytree(Path(r2mrf.__file__).parent, f"{scratch}/r2mrf", ignore=ignored)
        mlflow.set_tags(made_of)
        mlflow.log_metrics({key: float(value) for key, value in figures.items() if not isinstance(value, str)})
        mlflow.log_artifacts(str(REPORTS / "evaluate"), "evaluate")
        mlflow.log_text(model_card.write(trained, figures, made_of), "model_card.md")
        if LOCK.is_file():
            mlflow.log_artifact(str(LOCK))
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=serving.__file__,
            artifacts={CHECKPOINT: str(here(MODEL))},
            code_paths=[code],
            signature=_signature(),
            input_example=pd.DataFrame({"image": [images.encode_png(np.full((64, 64, 3), 128, np.uint8))]}),
            pip_requirements=[pin for pin in pins if pin.split("==")[0] in NEEDED],
        )
        # with its tags, in one go: a version without its hash would be refused wherever it is loaded
        tags = made_of | {HASH: trained.sha256}
        return str(mlflow.register_model(info.model_uri, config.registry.name, tags=tags).version)


def _signature() -> ModelSignature:
    record = {
        "status": "string", "error": "string", "width": "long", "height": "long", "content_sha256": "string",
        "blur_fraction": "double", "focus_area": "double", "focus_x0": "long", "focus_y0": "long",
        "focus_x1": "long", "focus_y1": "long", "center_blur": "double", "confidence": "double", "verdict": "string",
    }  # fmt: skip
    outputs = [ColSpec(kind, name) for name, kind in record.items()] + [ColSpec("string", "map", required=False)]
    return ModelSignature(
        inputs=Schema([ColSpec("binary", "image")]),
        outputs=Schema(outputs),
        params=ParamSchema([ParamSpec("map", DataType.boolean, default=False)]),
    )


if __name__ == "__main__":
    main(register)
