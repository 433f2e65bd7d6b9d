"""dvc.yaml against the code: a stage that does not name what it uses would not run when that changes."""

import ast
from pathlib import Path

import pytest
import yaml

from tests.support.imports import imported_at_all

ROOT = Path(__file__).parents[2]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


def leaves(values: dict, prefix: str = "") -> set[str]:
    out = set()
    for key, value in values.items():
        out |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key}
    return out


def test_pinned_stages_are_there():
    assert list(STAGES) == ["prepare", "augment", "tune", "train", "evaluate", "register", "score", "ablate"]


@pytest.mark.parametrize("name", STAGES)
def test_command_is_the_module(name):
    assert STAGES[name]["cmd"] == f"python -m pipelines.{name}"
    assert (ROOT / "pipelines" / f"{name}.py").is_file()


@pytest.mark.parametrize("name", STAGES)
def test_every_imported_file_is_a_dependency(name):
    needed = {str(file.relative_to(ROOT)) for file in imported_at_all(ROOT / "pipelines" / f"{name}.py")}
    stated = {dep for dep in STAGES[name]["deps"] if dep.endswith(".py")}
    assert stated == needed


@pytest.mark.parametrize("name", STAGES)
def test_parameters_are_leaves_of_params_yaml(name):
    stated = {param.replace("${profile}", PARAMS["profile"]) for param in STAGES[name]["params"]}
    assert stated <= leaves(PARAMS)


def test_every_parameter_belongs_to_a_stage():
    stated = {param.replace("${profile}", PARAMS["profile"]) for stage in STAGES.values() for param in stage["params"]}
    unread = leaves({key: value for key, value in PARAMS.items() if key != "paper"}) - stated
    assert not unread


def test_r2mrf_knows_no_orchestration():
    for file in (ROOT / "r2mrf").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            assert not {name.split(".")[0] for name in names} & {"ray", "dvc", "mlflow", "pipelines"}, file
