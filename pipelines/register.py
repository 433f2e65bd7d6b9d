"""Stage register: puts the trained model into MLflow's registry, as `@champion` if it beats the present champion.

    python -m pipelines.register       # models/r2mrf, reports/evaluate -> models:/r2mrf@challenger

Weights that are already in the registry are not registered again. The latest version is `@challenger`.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import fields
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

import r2mrf
from pipelines.evaluation.held_out import decoded, name_of
from pipelines.library.columns import SCORES
from pipelines.project.folders import MODEL, PREPARED, REPORTS
from pipelines.project.stage import main
from pipelines.project.tables import read_json, write_json
from pipelines.registry import model_card, promotion, runs, serving
from pipelines.registry.models import CHECKPOINT, HASH
from pipelines.registry.provenance import LOCK, provenance
from pipelines.storage.outputs import local_copy
from r2mrf.config import Config
from r2mrf.data import shards
from r2mrf.errors import UserError
from r2mrf.evaluation.metrics import Counts
from r2mrf.imaging import images
from r2mrf.imaging.maps import to_uint8
from r2mrf.network import checkpoint
from r2mrf.network.checkpoint import Checkpoint
from r2mrf.network.model_folder import WEIGHTS
from r2mrf.prediction.predictor import Predictor
from r2mrf.prediction.record import DETAIL, RECORD

NEEDED = {  # packages that the registered model imports; pinned to the versions in requirements.txt
    *("mlflow", "numpy", "opencv-python", "opencv-python-headless", "pandas", "pillow", "pydantic", "pyyaml"),
    *("safetensors", "simplejpeg", "timm", "torch", "torchvision"),
}
KINDS = {pa.string(): "string", pa.int32(): "long", pa.float64(): "double"}  # MLflow's names for types of columns


def register(config: Config) -> None:
    """Run the stage: register the trained model if needed, write its card, and set the aliases."""
    if not MODEL.is_dir():
        raise UserError(f"{MODEL} is missing: run `dvc repro train` first")
    trained = checkpoint.load(local_copy(MODEL))
    figures = _figures(trained)
    client, name = runs.client(config.tracking), config.registry.name
    version = _registered_version(client, name, trained) or _log(config, trained, figures)
    _tag(client, name, version, _measured(figures))
    card = model_card.write(trained, figures, client.get_model_version(name, version).tags)
    client.update_model_version(name, version, description=card)
    client.set_registered_model_alias(name, "challenger", version)
    present = client.get_registered_model(name).aliases.get("champion")
    against = None
    if str(present) != version:  # a database returns a number, a server a string
        champion = _champion_figures(client, name, str(present), figures["test_set"]) if present else None
        against = promotion.reason_against(config.registry, figures, champion)
    _tag(client, name, version, {"gate": against or "passed"})
    if against is None:
        client.set_registered_model_alias(name, "champion", version)
    print(f"models:/{name}/{version} {'is the champion' if against is None else f'stays challenger: {against}'}")
    facts = {"name": name, "model": trained.name, "model_sha256": trained.sha256, "champion": against is None}
    write_json(REPORTS / "register" / "metrics.json", facts | {"f_05": figures["f_05"], "gate": against or "passed"})


def _figures(trained: Checkpoint) -> dict:
    path = REPORTS / "evaluate" / "metrics.json"
    figures = read_json(path)
    if figures is None:
        raise UserError(f"{path} is missing: run `dvc repro evaluate` first")
    if missing := {"model", "images", "images_without_defocus", "test_set", *promotion.FIGURES} - figures.keys():
        raise UserError(f"{path} lacks {', '.join(sorted(missing))}: run `dvc repro evaluate` again")
    if figures["model"] != trained.name:
        raise UserError(
            f"{path} belongs to model {figures['model']}, not {trained.name}: run `dvc repro evaluate` again"
        )
    return figures


def _measured(figures: dict) -> dict:
    return {name: figures[name] for name in (*promotion.FIGURES, "test_set")}


def _tag(client: MlflowClient, name: str, version: str, tags: dict) -> None:
    for tag, value in tags.items():
        client.set_model_version_tag(name, version, tag, str(value))


def _registered_version(client: MlflowClient, name: str, trained: Checkpoint) -> str | None:
    """Return the version under which these weights are already registered, or None."""
    versions = client.search_model_versions(f"name = '{name}'")
    same = [v.version for v in versions if v.tags.get(HASH) == trained.sha256]
    return str(max(same, key=int)) if same else None


def _champion_figures(client: MlflowClient, name: str, version: str, test_set: str) -> dict[str, float]:
    """Return the champion's figures; measure them now if they belong to other test pairs."""
    tags = client.get_model_version(name, version).tags
    if tags.get("test_set") != test_set:
        pairs = shards.read(local_copy(PREPARED), "test-*.parquet")
        if name_of(pairs) != test_set:
            raise UserError(
                "reports/evaluate belongs to other test pairs than data/prepared: run `dvc repro evaluate` again"
            )
        print(
            f"models:/{name}/{version}, the champion, was evaluated on other test pairs; evaluating it on these",
            flush=True,
        )
        predictor, counts = Predictor.load(f"models:/{name}/{version}"), Counts()
        for rgb, mask in decoded(pairs):
            counts.add(to_uint8(predictor(rgb)), mask)
        tags = _measured(counts.summary() | {"test_set": test_set})
        _tag(client, name, version, tags)
    return {figure: float(tags[figure]) for figure in promotion.FIGURES}


def _log(config: Config, trained: Checkpoint, figures: dict) -> str:
    """Log the model and register it; return its version."""
    weights = hashlib.sha256((local_copy(MODEL) / WEIGHTS).read_bytes()).hexdigest()
    made_from = provenance() | {"weights_sha256": weights, "data": trained.training.get("data", "")}
    pins = Path(__file__).parents[1].joinpath("requirements.txt").read_text(encoding="utf-8").split()
    with (
        mlflow.start_run(run_id=runs.run_for(config, "register", trained.training["fingerprint"])),
        tempfile.TemporaryDirectory() as scratch,
    ):
        ignored = shutil.ignore_patterns("weights", "__pycache__")
        code = shutil.copytree(Path(r2mrf.__file__).parent, f"{scratch}/r2mrf", ignore=ignored)
        mlflow.set_tags(made_from)
        mlflow.log_metrics({key: float(value) for key, value in figures.items() if isinstance(value, int | float)})
        mlflow.log_artifacts(str(REPORTS / "evaluate"), "evaluate")
        mlflow.log_text(model_card.write(trained, figures, made_from), "model_card.md")
        if LOCK.is_file():
            mlflow.log_artifact(str(LOCK))
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=serving.__file__,
            artifacts={CHECKPOINT: str(local_copy(MODEL))},
            code_paths=[code],
            signature=_signature(),
            input_example=pd.DataFrame({"image": [images.encode_png(np.full((64, 64, 3), 128, np.uint8))]}),
            pip_requirements=[pin for pin in pins if pin.split("==")[0] in NEEDED],
        )
        # tags are set in the same call, because a version without its hash would be refused wherever it is loaded
        tags = made_from | {HASH: trained.sha256}
        return str(mlflow.register_model(info.model_uri, config.registry.name, tags=tags).version)


def _signature() -> ModelSignature:
    outputs = [ColSpec(KINDS[SCORES.field(name).type], name) for name in RECORD]
    optional = {name: KINDS[SCORES.field(name).type] for name in DETAIL} | {"map": "string", "radius": "string"}
    outputs += [ColSpec(kind, name, required=False) for name, kind in optional.items()]
    types = {bool: DataType.boolean, str: DataType.string}
    return ModelSignature(
        inputs=Schema([ColSpec("binary", "image")]),
        outputs=Schema(outputs),
        params=ParamSchema([ParamSpec(f.name, types[type(f.default)], f.default) for f in fields(serving.Wanted)]),
    )


if __name__ == "__main__":
    main(register)
