"""Imports run one way, pipelines -> r2mrf, and importing the package alone costs nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.library.samples import samples

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


@pytest.mark.parametrize("path", sorted((ROOT / "r2mrf").rglob("*.py")), ids=lambda path: path.stem)
def test_library_knows_no_pipeline(path):
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert not imported & {"ray", "mlflow", "dvc", "pipelines"}


def test_unknown_name_of_the_package():
    import r2mrf

    with pytest.raises(AttributeError, match="Predicter"):
        _ = r2mrf.Predicter
