"""A model in 8 bits: made from photos, kept with its model, and refused where it does not belong to it."""

import json
import shutil

import numpy as np
import pytest

from r2mrf import Predictor
from r2mrf.engine_names import EXPORTS
from r2mrf.engines import choose, int8
from r2mrf.engines.choose import create, fastest
from r2mrf.engines.export import export
from r2mrf.engines.int8 import calibration_photos, fit_logits, quantise, store
from r2mrf.engines.runtimes import EngineError, native_int8
from r2mrf.errors import UserError
from r2mrf.imaging import images
from r2mrf.network import checkpoint, model_folder
from tests.support.model import SIDE, decided

RUNTIMES = ("openvino", "onnx")
pytestmark = pytest.mark.skipif(not native_int8(), reason="this processor has no VNNI")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Return a folder of photos with edges and ramps, one of which cannot be read."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number in range(8):
        coarse = random.integers(0, 256, (SIDE // 8, SIDE // 8, 3), dtype=np.uint8)
        rgb = np.kron(coarse, np.ones((8, 8, 1), np.uint8))
        (folder / f"{number}.jpg").write_bytes(images.encode_jpeg(rgb))
    (folder / "broken.jpg").write_bytes(b"no photo")
    return folder


@pytest.fixture(scope="module")
def folder(photos, tmp_path_factory):
    """Return a model folder with an int8 form."""
    made = decided()
    folder = checkpoint.save(tmp_path_factory.mktemp("models") / "model", made)
    loaded = checkpoint.load(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(int8, "LARGEST_DIFFERENCE", 0.2)  # the network is untrained, and rounding shows more there
        store(folder, quantise(loaded, calibration_photos(photos, loaded.preprocess)))
    return folder


# --- scale and shift of the logits -----------------------------------------------------------------------


def test_scale_and_shift_are_found_again():
    logits = np.random.default_rng(0).normal(size=2000)
    rounded, expected = (1 / (1 + np.exp(-z)) for z in (logits, 2.5 * logits - 0.5))
    assert fit_logits(rounded, expected) == pytest.approx((2.5, -0.5), abs=1e-3)


def test_maps_that_agree_stay_as_they_are():
    maps = np.random.default_rng(0).random((2, 30, 30)).astype(np.float32)
    assert fit_logits(maps, maps) == pytest.approx((1, 0), abs=1e-3)


# --- what it is made from --------------------------------------------------------------------------------


def test_photos_that_cannot_be_read_are_left_out(photos):
    found = calibration_photos(photos, decided().preprocess)
    assert len(found) == 8
    assert found[0].shape == (1, 3, SIDE, SIDE)


def test_too_few_photos(tmp_path, photos):
    shutil.copy(photos / "0.jpg", tmp_path)
    with pytest.raises(UserError, match="only 1 photos can be read there, and calibration needs at least 6"):
        calibration_photos(tmp_path, decided().preprocess)


def test_nncf_is_asked_for_where_it_is_missing(photos, monkeypatch):
    monkeypatch.setitem(int8.package.__globals__["sys"].modules, "nncf", None)
    made = decided()
    with pytest.raises(EngineError, match=r"nncf cannot be loaded .*pip install .*\[int8\]"):
        quantise(made, calibration_photos(photos, made.preprocess))


# --- a model that has it ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RUNTIMES)
def test_every_engine_but_torch_runs_it(folder, photos, name):
    loaded = checkpoint.load(folder)
    engine = create(name, loaded, threads=1, precision="int8")
    assert (engine.name, engine.precision) == (name, "int8")
    x = np.concatenate(calibration_photos(photos, loaded.preprocess))
    got, expected = engine(x), create("torch", loaded)(x)
    assert [part.shape for part in got] == [part.shape for part in expected]
    # The network is untrained, and doubles each rounding many times over: how near int8 comes is held by
    # test_released_weights.py.
    assert np.isfinite(got.defocus).all() and np.ptp(got.defocus) > 0.1


def test_its_facts_stand_in_model_json(folder):
    facts = json.loads((folder / "model.json").read_bytes())["int8"]
    assert facts["photos"] == 8
    assert 0 < facts["difference"] <= 0.2
    assert (folder / "int8.onnx").stat().st_size < (folder / "model.safetensors").stat().st_size / 2
    assert checkpoint.load(folder).sha256 == model_folder.content_hash(folder)


def test_predictor_by_precision(folder):
    assert Predictor.load(folder, "openvino", threads=1, precision="int8").engine.precision == "int8"


def test_auto_tries_it(folder, monkeypatch):
    loaded = checkpoint.load(folder)
    monkeypatch.setitem(choose.AGREEMENT, "int8", 1)  # this network is no real one
    trial = fastest(loaded, threads=1, precision="auto", rounds=1)
    assert {"openvino int8", "onnx int8"} <= set(trial.rates)
    assert not {"torch int8"} & (set(trial.rates) | set(trial.refused))
    monkeypatch.setitem(choose.AGREEMENT, "int8", 0)
    refused = fastest(loaded, threads=1, precision="auto", rounds=1).refused
    assert refused["openvino int8"] == "its maps are not those of torch in fp32"


@pytest.mark.parametrize("form", EXPORTS)
def test_export(folder, tmp_path, form, monkeypatch):
    monkeypatch.setitem(choose.AGREEMENT, "int8", 1)
    facts = export(checkpoint.load(folder), form, tmp_path / "out", "int8")
    assert facts["precision"] == "int8"
    assert facts["input"]["shape"] == ["batch", 3, SIDE, SIDE]
    assert facts["parity"]["over"] == "mean over rendered scenes"


# --- a model that has none -------------------------------------------------------------------------------


def test_without_it(tmp_path):
    loaded = checkpoint.load(checkpoint.save(tmp_path / "model", decided()))
    for name in RUNTIMES:
        with pytest.raises(EngineError, match=r"has no int8 form.*`r2mrf export --precision int8 --calibrate PHOTOS"):
            create(name, loaded, precision="int8")
    assert not any("int8" in label for label in fastest(loaded, threads=1, precision="auto", rounds=1).rates)


def test_torch_has_none(folder):
    with pytest.raises(EngineError, match="torch does not calculate in int8: use the engine openvino"):
        create("torch", checkpoint.load(folder), precision="int8")


@pytest.mark.parametrize("change", ["other weights", "other graph", "no graph"])
def test_a_form_that_is_not_of_these_weights_is_refused(folder, tmp_path, change):
    model = shutil.copytree(folder, tmp_path / "model")
    if change == "other weights":
        checkpoint.save(tmp_path / "new", decided(steps=2))
        for name in ("model.safetensors", "model.json"):
            shutil.copy(tmp_path / "new" / name, model / name)
    elif change == "other graph":
        (model / "int8.onnx").write_bytes((model / "int8.onnx").read_bytes()[:-1])
    else:
        (model / "int8.onnx").unlink()
    with pytest.raises(EngineError, match="or one that is damaged or belongs to other weights"):
        create("openvino", checkpoint.load(model), precision="int8")


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_processor_without_vnni_is_refused(folder, name, monkeypatch):
    """Refuse it, because sums in 16 bits would overflow."""
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    with pytest.raises(EngineError, match="no VNNI"):
        create(name, checkpoint.load(folder), precision="int8")
