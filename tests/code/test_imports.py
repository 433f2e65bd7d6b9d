"""Imports run one way, from upper rooms to lower ones, and importing the package alone costs nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.project.samples import samples

ROOT = Path(__file__).parents[2]


def test_import_alone_is_light():
    code = "import sys, r2mrf; print(*({'ray', 'mlflow', 'dvc', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_released_model_needs_neither_timm_nor_torchvision():
    code = "import sys; from r2mrf import Predictor; Predictor.load('lite'); "
    code += "print(*({'timm', 'torchvision', 'torch._dynamo'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_map_by_the_released_model_needs_no_torch(tmp_path):
    arguments = ["map", str(samples()[0]), "-o", str(tmp_path / "map.png")]
    code = f"import sys; from pipelines.command.cli import main; main({arguments}); "
    code += "print(*({'torch', 'ray', 'mlflow'} & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (tmp_path / "map.png").is_file()
    assert done.stderr.strip() == ""


def test_rooms_import_downwards_only():
    """The contracts in pyproject.toml, as `make lint` checks them."""
    done = subprocess.run(["lint-imports", "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("package", "most"), [("r2mrf", 4), ("pipelines", 10)])
def test_rooms_are_small_and_say_what_they_are_for(package, most):
    assert len(list((ROOT / package).glob("*.py"))) <= most
    for room in (path.parent for path in (ROOT / package).glob("*/__init__.py")):
        assert len(list(room.glob("*.py"))) <= 13, room  # twelve, and __init__.py
        assert ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))), room


def test_tests_share_only_what_lies_in_support():
    for file in (ROOT / "tests").rglob("*.py"):
        imported = [
            node.module for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)
        ]
        assert all(name.startswith("tests.support") for name in imported if name and name.startswith("tests")), file


def test_public_names_of_the_package():
    from r2mrf import Predictor, UserError, images

    assert issubclass(images.ImageError, UserError) and callable(Predictor.load)


def test_unknown_name_of_the_package():
    import r2mrf

    with pytest.raises(AttributeError, match="Predicter"):
        _ = r2mrf.Predicter


def test_all_json_goes_through_the_strict_reader():
    files = [path for package in ("r2mrf", "pipelines") for path in (ROOT / package).rglob("*.py")]
    calls = [
        path.relative_to(ROOT).as_posix()
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("load", "loads", "read_json")
        and isinstance(node.value, ast.Name) and node.value.id in ("json", "orjson", "pd", "pandas")
    ]  # fmt: skip
    assert calls == ["r2mrf/system/strict_json.py"]
