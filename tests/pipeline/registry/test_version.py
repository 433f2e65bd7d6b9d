"""A registered version says what it was made from, and holds the files and packages that it needs and no more."""

import ast
import hashlib
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

from mlflow import MlflowClient

from pipelines.register import NEEDED
from tests.support.imports import ROOT, imported_at_all


def test_tags_say_what_it_was_made_from(team):
    tags = team.version("1").tags
    weights = team.files("1") / "artifacts/r2mrf/model.safetensors"
    assert tags["weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert tags["dvc_lock_sha256"] == hashlib.sha256(Path("dvc.lock").read_bytes()).hexdigest()
    assert tags["data"] == "0123"
    run = team.version("1").run_id
    assert {"model_card.md", "dvc.lock", "evaluate"} <= {f.path for f in MlflowClient().list_artifacts(run)}
    assert MlflowClient().get_run(run).data.metrics["mae"] == 0.2


def test_card_says_what_it_is(team):
    card = team.version("1").description
    assert len(card) < 5000
    assert "| f 05 |" not in card
    for part in ("| f_05 | 0.8000 |", "| mae | 0.2000 |", "4 steps on synthetic", "## Limitations"):
        assert part in card


def test_no_pickle_and_not_the_released_weights(team):
    files = [path for path in team.files("1").rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"MLmodel", "serving.py", "model.safetensors", "requirements.txt"}
    assert not [path for path in files if path.suffix in {".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt"}]
    assert not [path for path in files if path.read_bytes()[:2] in {b"\x80\x04", b"\x80\x05", b"PK"}]
    assert sum(path.name == "model.safetensors" for path in files) == 1


def test_pinned_requirements_are_what_it_imports(team):
    pins = (team.files("1") / "requirements.txt").read_text().split()
    assert set(pins) <= set(Path("requirements.txt").read_text().split())
    assert {pin.split("==")[0] for pin in pins} == NEEDED
    distributions, needed = packages_distributions(), set()
    for file in imported_at_all(ROOT / "pipelines/registry/serving.py"):
        for name in top_imports(file) - sys.stdlib_module_names - {"r2mrf", "pipelines"}:
            needed |= {distribution.lower() for distribution in distributions[name]}
    assert needed - {"mlflow-skinny", "mlflow-tracing"} <= NEEDED  # MLflow brings these two


def top_imports(path: Path) -> set[str]:
    """Packages that a file imports as it is loaded."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    return {name.split(".")[0] for name in names}
