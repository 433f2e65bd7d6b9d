"""`r2mrf export` writes a model in another form, says how far it differs, and overwrites nothing else."""

from pathlib import Path

import pytest

from r2mrf import Predictor
from tests.support.command import command, refused
from tests.support.photos import save_photo

pytestmark = pytest.mark.usefixtures("here")


@pytest.mark.parametrize(("form", "written"), [("onnx", ["model.onnx"]), ("openvino", ["model.bin", "model.xml"])])
def test_export(run, tiny_model, form, written):
    facts = run("export", "--format", form, "-o", "deep/er")
    name = Predictor.load(tiny_model).checkpoint.name
    assert facts[::2] == (0, [])
    assert facts[1][0] == f"deep/er: {', '.join(written)}, model.json; {name}"
    assert facts[1][1].startswith("differs from torch by ")
    assert facts[1][1].endswith(", worst pixel (allowed: 0.001)")
    assert {path.name for path in Path("deep/er").iterdir()} == {*written, "model.json"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-o", "out"], "--format and -o go together"),
        (["--format", "onnx"], "--format and -o go together"),
        ([], "give --format and -o, or --precision int8 and --calibrate"),
        (["--calibrate", "."], "--calibrate is for --precision int8"),
    ],
)
def test_export_without_what_it_needs(run, arguments, sentence):
    refused(run("export", *arguments), sentence)


def test_the_released_int8_form_is_not_replaced_unasked():
    refused(command("export", "--precision", "int8", "--calibrate", "."), "would replace that of the released weights")


def test_export_over_something_else(run):
    save_photo(Path("photos/a.jpg"))
    refused(run("export", "--format", "onnx", "-o", "photos"), "photos exists and is not an export for onnx")
    refused(run("export", "--format", "onnx", "-o", "photos/a.jpg"), "a.jpg exists and is not an export for onnx")
    Path("a").touch()
    refused(run("export", "--format", "onnx", "-o", "a/b"), "a/b: cannot be written (File exists)")
    assert list(Path("photos").iterdir()) == [Path("photos/a.jpg")]


def test_export_without_a_model():
    run = command("export", "--format", "onnx", "-o", "out", "--model", "no/such/model")
    refused(run, "no/such/model", "a model is a folder with")
    assert not Path("out").exists()
