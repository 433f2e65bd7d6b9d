"""Photo in, map out; finding a model by name."""

from pathlib import Path

import numpy as np
import pytest
import torch

from r2mrf import Predictor
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.network import checkpoint, model_folder
from r2mrf.network.checkpoint import Checkpoint
from r2mrf.network.model import R2MRF
from r2mrf.network.model_folder import CheckpointError
from tests.support.model import architecture

SIDE = 64


def untrained(**changes) -> Checkpoint:
    torch.manual_seed(0)
    model = architecture(**{"steps": 3} | changes)
    return Checkpoint(R2MRF(model), model, Preprocess(SIDE, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)))


@pytest.fixture(scope="module")
def predict() -> Predictor:
    return Predictor(untrained())


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(64, 64), (45, 97), (201, 33), (8, 8), (1, 1), (9, 2000)])
def test_map_has_the_photos_size_and_is_a_probability(predict, size):
    defocus = predict(photo(*size))
    assert defocus.shape == size
    assert defocus.dtype == np.float32
    assert 0 <= defocus.min() <= defocus.max() <= 1


def test_map_is_the_networks_probability(predict):
    # at the network's own size nothing is resized: sigmoid of the fused logits is all there is
    rgb = photo(SIDE, SIDE)
    x = (torch.from_numpy(rgb).permute(2, 0, 1)[None] / 255 - 0.5) / 0.25
    with torch.inference_mode():
        expected = predict.network(x).fused.sigmoid()[0, 0].numpy()
    np.testing.assert_allclose(predict(rgb), expected, atol=1e-5)


def test_same_photo_same_map(predict):
    np.testing.assert_array_equal(predict(photo(50, 70)), predict(photo(50, 70)))


def test_confidence_is_a_share_and_belongs_to_the_map(predict):
    analysis = predict.analyse(photo(50, 70))
    assert 0 <= analysis.confidence <= 1
    np.testing.assert_array_equal(analysis.defocus, predict(photo(50, 70)))


def test_confidence_without_steps_is_the_maps_decidedness():
    rgb = photo(SIDE, SIDE)
    made = untrained(steps=0, grid_stride=2)
    with torch.no_grad():
        made.network.fusion.bias.fill_(100.0)
    assert Predictor(made).analyse(rgb).confidence == pytest.approx(1, abs=0.01)
    with torch.no_grad():
        made.network.fusion.bias.zero_()
        made.network.fusion.weight.zero_()
    assert Predictor(made).analyse(rgb).confidence == 0


def test_batch_is_one_by_one(predict):
    photos = [photo(50 + 9 * i, 70, seed=i) for i in range(3)]
    batch = predict.analyse_batch(np.stack([predict.preprocess.shrink(rgb) for rgb in photos]))
    for rgb, together in zip(photos, batch, strict=True):
        alone = predict.analyse(rgb)
        large = predict.preprocess.expand(together.defocus, *rgb.shape[:2])
        np.testing.assert_allclose(large, alone.defocus, atol=1e-4)
        assert together.confidence == pytest.approx(alone.confidence, abs=0.02)


@pytest.mark.parametrize(
    "rgb",
    [
        np.zeros((40, 40), np.uint8),
        np.zeros((40, 40, 4), np.uint8),
        np.zeros((1, 40, 40, 3), np.uint8),
        np.zeros((40, 40, 3), np.float32),
        np.zeros((0, 40, 3), np.uint8),
    ],
    ids=["grey", "rgba", "batch", "float", "empty"],
)
def test_wrong_input(predict, rgb):
    with pytest.raises(ValueError, match="a photo must be uint8 H×W×3 RGB, not") as caught:
        predict(rgb)
    assert str(rgb.shape) in str(caught.value)


def test_a_name_instead_of_a_photo(predict):
    with pytest.raises(ValueError, match=r"not str: r2mrf\.images\.load reads one from a file"):
        predict("photo.jpg")


def test_photo_in_any_memory_layout(predict):
    rgb = photo(50, 70)
    expected = predict(rgb)
    np.testing.assert_array_equal(predict(np.asfortranarray(rgb)), expected)
    np.testing.assert_array_equal(predict(rgb[:, ::-1].copy()[:, ::-1]), expected)  # a view, read backwards
    rgb.setflags(write=False)
    np.testing.assert_array_equal(predict(rgb), expected)


# --- names -----------------------------------------------------------------------------------------------


def refused(name) -> str:
    with pytest.raises(CheckpointError) as caught:
        Predictor.load(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """Work in a folder in which nothing was trained, with a release that ships no weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(model_folder, "RELEASED", tmp_path / "weights")
    return tmp_path


def test_folder(tmp_path):
    made = untrained()
    for name in (checkpoint.save(tmp_path / "model", made), str(tmp_path / "model")):
        loaded = Predictor.load(name)
        np.testing.assert_array_equal(loaded(photo(40, 50)), Predictor(made)(photo(40, 50)))
        assert len(loaded.checkpoint.sha256) == 64


def test_lite_is_the_released_model_wherever_one_stands(elsewhere):
    checkpoint.save(elsewhere / "models" / "r2mrf", untrained(steps=1))
    checkpoint.save(elsewhere / "weights" / "lite", untrained(steps=2))
    assert Predictor.load("lite").checkpoint.model.steps == 2


def test_missing_folder(elsewhere):
    assert "no/such/model" in refused("no/such/model")


def test_unknown_scheme(elsewhere):
    text = refused("gopher:/model")
    assert "gopher:/ names" in text
    assert "model folder" in text
