"""A team: a workspace with test pairs, whose models are registered under one name."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
from mlflow import MlflowClient

from pipelines.evaluation.held_out import name_of
from pipelines.register import register
from r2mrf.config import Config, Registry, load
from r2mrf.data import shards
from r2mrf.imaging import images
from r2mrf.network import checkpoint
from tests.support.imports import ROOT
from tests.support.model import save_tiny_model

REGISTRY = Registry(name="r2mrf", margin=0.01, least_f_05=0.5, most_mae=0.3)


@dataclass
class Team:
    """A workspace with test pairs, whose models are registered under one name."""

    root: Path
    name: str

    @property
    def config(self) -> Config:
        config = load(ROOT / "params.yaml")
        registry = REGISTRY.model_copy(update={"name": self.name})
        return config.model_copy(update={"registry": registry})

    def train(self, seed: int, **figures: float | str) -> str:
        """Make a model in models/r2mrf with these figures; return its hash."""
        save_tiny_model(self.root / "models/r2mrf", seed)
        trained = checkpoint.load(self.root / "models/r2mrf")
        trained.training.update(fingerprint=f"{self.name}-{seed}", data="0123", source="synthetic", steps=4)
        checkpoint.save(self.root / "models/r2mrf", trained)
        known = {"images": 2, "images_without_defocus": 1, "model": trained.name, "mae": 0.2}
        known |= {"confidence_excess": None}  # as where all photos have the same error
        known |= {"test_set": name_of(self.test_pairs())}
        path = self.root / "reports/evaluate/metrics.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(known | figures))
        return trained.sha256

    def test_pairs(self) -> pa.Table:
        return shards.read(self.root / "data/prepared", "test-*.parquet")

    def pairs(self, seed: int) -> None:
        rng, rows = np.random.default_rng(seed), []
        for i in range(2):
            pixels = images.encode_png(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
            row = {name: None for name in shards.PAIRS.names} | {"source_id": str(i), "split": "test"}
            rows.append(row | {"image": pixels, "mask": pixels, "sha256": hashlib.sha256(pixels).hexdigest()})
        shards.write(self.root / "data/prepared/test-00000.parquet", rows, shards.PAIRS, "made by a test")

    def register(self) -> None:
        register(self.config)

    def aliases(self) -> dict[str, str]:
        return {alias: str(v) for alias, v in MlflowClient().get_registered_model(self.name).aliases.items()}

    def version(self, version: str) -> mlflow.entities.model_registry.ModelVersion:
        return MlflowClient().get_model_version(self.name, version)

    def files(self, version: str) -> Path:
        """Return the folder in which the artifact store keeps a version."""
        return Path(MlflowClient().get_model_version_download_uri(self.name, version).removeprefix("file://"))
