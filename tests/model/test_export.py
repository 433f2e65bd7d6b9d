"""An exported folder: its contents, its use without r2mrf, and that a bad one never appears."""

import hashlib
import json
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from r2mrf import Predictor
from r2mrf.engine_names import EXPORTS
from r2mrf.engines import onnx_graph
from r2mrf.engines.export import ExportError, export
from r2mrf.engines.onnx_graph import to_onnx
from r2mrf.engines.runtimes import openvino_core, package
from r2mrf.errors import UserError
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.network.checkpoint import Checkpoint, save
from r2mrf.network.model import R2MRF
from r2mrf.network.model_folder import CheckpointError
from tests.support.disk import tiny_disk
from tests.support.model import architecture

SIDE = 64
FILES = {"onnx": ["model.json", "model.onnx"], "openvino": ["model.bin", "model.json", "model.xml"]}


def untrained(seed: int = 0) -> Checkpoint:
    torch.manual_seed(seed)
    model = architecture(steps=3)
    network = R2MRF(model).eval()
    with torch.no_grad():
        network.fusion.weight *= 100  # away from 0.5
    preprocess = Preprocess(SIDE, (0.5, 0.45, 0.4), (0.25, 0.2, 0.3))
    return Checkpoint(network, model, preprocess, {"steps": 7}, sha256=f"{seed}" * 64)


@pytest.fixture(scope="module", autouse=True)
def _written_once():
    """Write each network's graph once, however often it is exported; `test_same_model_same_bytes` writes it again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_graph, "to_onnx", cache(to_onnx))
        yield


@pytest.fixture(scope="module")
def made() -> Checkpoint:
    return untrained()


@pytest.fixture(scope="module", params=EXPORTS)
def form(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(tmp_path_factory, made, form) -> Path:
    out = tmp_path_factory.mktemp("exports") / "deep" / "er"
    export(made, form, out)
    return out


def run(folder: Path, form: str, x: np.ndarray) -> dict[str, np.ndarray]:
    """Run an export as another program would: with the runtime and model.json, without r2mrf."""
    facts = json.loads((folder / "model.json").read_text())
    given, wanted = facts["input"]["name"], list(facts["outputs"])
    if form == "onnx":
        session = package("onnxruntime").InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
        return dict(zip(wanted, session.run(wanted, {given: x}), strict=True))
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    model = openvino_core(package("openvino")).compile_model(str(folder / "model.xml"), "CPU", settings)
    outputs = model({given: x})
    return {name: outputs[name] for name in wanted}


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- what is written -------------------------------------------------------------------------------------


def test_folder_describes_itself(folder, made, form):
    assert files(folder) == FILES[form]
    assert files(folder.parent) == ["er"]  # no scratch is left
    facts = json.loads((folder / "model.json").read_text())
    assert (facts["export"], facts["name"], facts["sha256"]) == (form, made.name, made.sha256)
    assert facts["model"]["steps"] == 3
    assert Preprocess.from_dict(facts["preprocess"]) == made.preprocess
    assert facts["training"] == {"steps": 7}
    for name in FILES[form]:
        if name != "model.json":
            assert facts["files"].pop(name) == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    assert facts["files"] == {}
    assert 0 < facts["parity"]["difference"] <= facts["parity"]["tolerance"] == 1e-3


def test_nothing_tells_where_it_was_made(folder):
    for path in folder.iterdir():
        content = path.read_bytes()
        for place in (Path(onnx_graph.__file__).parent, folder.parent, Path(torch.__file__).parent):
            assert str(place).encode() not in content


@pytest.mark.parametrize(("batch", "size"), [(1, (SIDE, SIDE)), (3, (96, 45))])
def test_another_program_gets_the_same(folder, made, form, batch, size):
    rgb = np.random.default_rng(1).integers(0, 256, (batch, *size, 3), dtype=np.uint8)
    facts = json.loads((folder / "model.json").read_text())["preprocess"]
    x = ((rgb / 255 - facts["mean"]) / facts["std"]).transpose(0, 3, 1, 2).astype(np.float32)
    got = run(folder, form, np.ascontiguousarray(x))
    with torch.inference_mode():
        outputs = made.network(torch.from_numpy(x))
        expected = outputs.fused.sigmoid()[:, 0].numpy()
        last = made.network.fuse(outputs.sides[-1]).sigmoid()[:, 0].numpy()
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(got["defocus"], expected, atol=1e-4)
    np.testing.assert_allclose(got["steps"][:, -1], last, atol=1e-4)


def test_same_model_same_bytes_and_the_model_stays(folder, made, form, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_graph, "to_onnx", to_onnx)
    rgb = np.random.default_rng(2).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    before = Predictor(made)(rgb)
    export(made, form, tmp_path / "again")
    # OpenVINO numbers the nodes of the .xml on and on within a process, and its hash stands in model.json
    for name in {"onnx": FILES["onnx"], "openvino": ["model.bin"]}[form]:
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    assert not made.network.training
    np.testing.assert_array_equal(Predictor(made)(rgb), before)


# --- where it may go -------------------------------------------------------------------------------------


def test_an_earlier_export_is_replaced(tmp_path, made, form):
    (tmp_path / "out").mkdir()  # an empty folder is as good as none
    for model in (untrained(seed=1), made):
        export(model, form, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "model.json").read_text())["sha256"] == made.sha256
    assert files(tmp_path) == ["out"]


def test_files_that_are_not_exports_are_kept(tmp_path, made):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    (tmp_path / "file").touch()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").write_text('{"format": 1}')
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "model.json").write_text("[1]")
    for name in ("photos", "file", "model", "list"):
        with pytest.raises(ExportError, match=f"{name} exists and is not an export for onnx: choose another folder"):
            export(made, "onnx", tmp_path / name)
    assert files(tmp_path / "photos") == ["a.jpg"]
    assert files(tmp_path) == ["file", "list", "model", "photos"]


def test_files_beside_an_export_or_a_model_are_kept(tmp_path, made):
    export(made, "onnx", tmp_path / "export")
    save(tmp_path / "model", made)
    for again in (lambda: export(made, "onnx", tmp_path / "export"), lambda: save(tmp_path / "model", made)):
        again()
    for folder in ("export", "model"):
        (tmp_path / folder / "notes.txt").touch()
    with pytest.raises(ExportError, match=r"also holds notes\.txt"):
        export(made, "onnx", tmp_path / "export")
    with pytest.raises(CheckpointError, match=r"also holds notes\.txt"):
        save(tmp_path / "model", made)


def test_an_export_of_the_other_form_is_kept(tmp_path, made):
    export(made, "onnx", tmp_path / "out")
    with pytest.raises(ExportError, match="exists and is an export for onnx"):
        export(made, "openvino", tmp_path / "out")
    assert files(tmp_path / "out") == FILES["onnx"]


# --- what never appears ----------------------------------------------------------------------------------


@pytest.fixture(params=["nothing before", "an older export"])
def target(request, tmp_path) -> Path:
    """Return the folder that exports of both formats go to."""
    if request.param == "an older export":
        for form in EXPORTS:
            (tmp_path / form).mkdir()
            (tmp_path / form / "model.json").write_text(json.dumps({"export": form}))
    return tmp_path


def refused(target: Path, made: Checkpoint, form: str) -> str:
    """Return why an export is refused, and check that nothing has changed."""
    before = content(target)
    with pytest.raises(UserError) as caught:
        export(made, form, target / form)
    assert content(target) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_graph_that_is_not_the_networks(target, made, form, monkeypatch):
    other = to_onnx(untrained(seed=1).network)
    monkeypatch.setattr(onnx_graph, "to_onnx", lambda _: other)
    assert "not written, because its probabilities differ from torch's by 1 in the worst pixel" in refused(
        target, made, form
    )


def test_graph_that_is_slightly_off(tmp_path, made, monkeypatch):
    other = untrained()
    with torch.no_grad():
        other.network.fusion.bias += 0.02
    monkeypatch.setattr(onnx_graph, "to_onnx", lambda _: to_onnx(other.network))
    assert "(allowed: 0.001)" in refused(tmp_path, made, "onnx")


def test_network_that_gives_no_numbers(tmp_path):
    broken = untrained()
    with torch.no_grad():
        broken.network.fusion.bias.fill_(float("nan"))
    assert "differ from torch's by nan in the worst pixel" in refused(tmp_path, broken, "onnx")


def test_disk_that_is_full(target, made):
    with tiny_disk():
        assert "cannot be written (File too large)" in refused(target, made, "onnx")


@pytest.mark.parametrize(("form", "name"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_runtime_that_is_not_installed(target, made, form, name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    said = refused(target, made, form)
    assert f"{name} cannot be loaded" in said and " -m pip install " in said
