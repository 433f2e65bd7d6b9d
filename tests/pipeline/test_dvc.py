"""dvc.yaml against the code: a stage must name all that it uses, or a change would not run it again."""

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


def rooms(files: set[Path]) -> set[str]:
    """Return each file's room, or the file itself at the top of a package; a package's own __init__.py says nothing."""
    below = {file.relative_to(ROOT) for file in files}
    return {str(file.parent if len(file.parts) > 2 else file) for file in below if file.parts[1:] != ("__init__.py",)}


@pytest.mark.parametrize("name", STAGES)
def test_every_room_that_a_stage_reaches_is_a_dependency(name):
    needed = rooms(imported_at_all(ROOT / "pipelines" / f"{name}.py"))
    assert len(needed) > 8  # a stage that seems to reach nothing was not read
    assert needed == {dep for dep in STAGES[name]["deps"] if dep.startswith(("pipelines/", "r2mrf/"))}


def read(name: str) -> set[str]:
    """Leaves of params.yaml that a stage names, alone or with their section."""
    stated = [param.replace("${profile}", PARAMS["profile"]) for param in STAGES[name]["params"]]
    found = {param: {leaf for leaf in leaves(PARAMS) if f"{leaf}.".startswith(f"{param}.")} for param in stated}
    assert all(found.values()), [param for param in stated if not found[param]]
    return set().union(*found.values())


@pytest.mark.parametrize("name", STAGES)
def test_parameters_are_in_params_yaml(name):
    assert read(name)


def test_every_parameter_belongs_to_a_stage():
    unread = leaves({key: value for key, value in PARAMS.items() if key != "paper"}).difference(*map(read, STAGES))
    assert not unread
