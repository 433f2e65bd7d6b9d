"""The notebook of examples/ runs from top to bottom, in a kernel of its own, and shows what its text says."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def cells(tmp_path_factory) -> list[nbformat.NotebookNode]:
    """Run the notebook on one core, because other tests run beside it; return its code cells."""
    notebook = nbformat.read(EXAMPLES / "tour.ipynb", nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells), "it is kept without outputs: clear them"
    home = str(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(EXAMPLES.parent),
            "IPYTHONDIR": home,
            "JUPYTER_RUNTIME_DIR": home,
        }.items():
            patch.setenv(name, value)
        place = {"metadata": {"path": str(EXAMPLES)}}
        NotebookClient(notebook, timeout=600, startup_timeout=300, resources=place).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_it_shows_pictures_and_tells_figures(cells):
    pictures = ["image/png" in output.get("data", {}) for cell in cells for output in cell.outputs]
    text = "".join(
        output.get("text", "") for cell in cells for output in cell.outputs if output.get("name") == "stdout"
    )
    assert sum(pictures) == 5
    assert "76% of the photo is out of focus" in text
    assert "'protocol': 'pysod'" in text
    assert text.endswith("['model.json', 'model.safetensors']\nTrue\n")


def test_no_warnings_are_printed(cells):
    errors = [output for cell in cells for output in cell.outputs if output.get("name") == "stderr"]
    assert errors == []


def test_it_learns(cells):
    (line,) = [output.text for cell in cells for output in cell.outputs if output.get("text", "").startswith("loss")]
    before, after = (float(number) for number in line.split("MAE")[1].split("->"))
    assert after < before
