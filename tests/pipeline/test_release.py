"""A trained model becomes the released one: calibrated on held-back pairs, and stored beside the card people wrote."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipelines.jobs import release
from pipelines.jobs.release import FACTORS
from r2mrf.data import shards
from r2mrf.data.batches import split
from r2mrf.errors import UserError
from r2mrf.imaging import images
from r2mrf.network import checkpoint
from r2mrf.network.checkpoint import Checkpoint
from r2mrf.network.model import R2MRF
from r2mrf.prediction.predictor import Predictor
from r2mrf.prediction.without_torch import load
from tests.support.model import architecture, save_tiny_model

WIDER = architecture(width=3)


def workspace(root: Path, right: float) -> Path:
    """Return a workspace with a model, and held-back pairs of which its maps have this share of the pixels right.

    Its maps of the pairs that it learnt from are entirely wrong.
    """
    model = save_tiny_model(root / "models/r2mrf")
    made = checkpoint.load(model)
    facts = {"seed": 5, "recipe": {"validation": 2}}
    model = checkpoint.save(model, Checkpoint(made.network, made.model, made.preprocess, facts))
    names = pa.table({"source_id": list("abcd"), "variant": [0] * 4})
    held_back = split(names, 2, 5)[1]["source_id"].to_pylist()
    predictor, rng, rows = Predictor.load(model), np.random.default_rng(0), []
    for name in names["source_id"].to_pylist():
        photo = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        truth = (predictor(photo) >= 0.5) ^ (rng.random((64, 64)) >= (right if name in held_back else 1 - right))
        row = dict.fromkeys(shards.VARIANTS.names) | {"source_id": name, "variant": 0}
        rows.append(row | {"image": images.encode_png(photo), "mask": images.encode_png(truth.astype(np.uint8) * 255)})
    shards.write(root / "data/augmented/train-00000.parquet", rows, shards.VARIANTS, "made by a test")
    return model


@pytest.fixture
def released(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(release, "RELEASED", tmp_path / "weights")
    (tmp_path / "weights/lite").mkdir(parents=True)
    (tmp_path / "weights/lite/README.md").write_text("the card")
    return tmp_path / "weights/lite"


@pytest.mark.parametrize(("right", "factor"), [(1.0, FACTORS[-1]), (0.0, FACTORS[0])])
def test_maps_are_as_decided_as_is_best(tmp_path, released, right, factor):
    # a larger factor is better where maps are right, and worse where they are wrong
    model = workspace(tmp_path / "work", right)
    assert release.release([model]) == released
    before, after = checkpoint.load(model), checkpoint.load(released)
    assert after.training["logits_times"] == factor
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(after.network(x).fused, factor * before.network(x).fused)
        assert torch.equal(after.network(x).sides[-1], before.network(x).sides[-1])


def test_a_shift_comes_before_the_factor(tmp_path, released):
    model = workspace(tmp_path / "work", 1.0)
    release.release([model], shift=-0.5)
    before, after = checkpoint.load(model), checkpoint.load(released)
    factor = after.training["logits_times"]
    assert after.training["logits_shifted"] == -0.5
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(after.network(x).fused, factor * (before.network(x).fused - 0.5))


def test_several_models_are_averaged(tmp_path, released):
    first = save_tiny_model(tmp_path / "first/models/r2mrf", seed=1)
    last = workspace(tmp_path / "work", 1.0)
    release.release([first, last])
    one, two, mean = (dict(checkpoint.load(path).network.named_parameters()) for path in (first, last, released))
    factor = checkpoint.load(released).training["logits_times"]
    for name, value in mean.items():
        expected = (one[name] + two[name]) / 2 * (factor if name.startswith("fusion.") else 1)
        torch.testing.assert_close(value, expected)
    assert checkpoint.load(released).training["mean_of"] == [checkpoint.load(p).sha256 for p in (first, last)]


def test_models_of_different_architecture_are_not_averaged(tmp_path, released):
    last = workspace(tmp_path / "work", 1.0)
    other = checkpoint.save(tmp_path / "wider", Checkpoint(R2MRF(WIDER), WIDER, checkpoint.load(last).preprocess, {}))
    with pytest.raises(UserError, match=r"wider: its architecture differs from that of .*work/models/r2mrf"):
        release.release([other, last])
    assert {path.name for path in released.iterdir()} == {"README.md"}


def test_the_card_stays(tmp_path, released):
    release.release([workspace(tmp_path / "work", 1.0)])
    assert {path.name for path in released.iterdir()} == {"README.md", "model.safetensors", "model.json"}
    assert (released / "README.md").read_text() == "the card"


def test_its_graph_finds_its_numbers_in_the_weights(tmp_path, released, monkeypatch):
    for arguments in ([str(workspace(tmp_path / "work", 1.0))], []):  # trained anew; only the graph anew
        (released / "model.onnx").unlink(missing_ok=True)
        monkeypatch.setattr(sys, "argv", ["release", *arguments])
        release.main()
        assert (released / "model.onnx").exists()
    monkeypatch.setattr("r2mrf.network.model_folder.RELEASED", released.parent)
    rgb = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    np.testing.assert_allclose(load("lite")(rgb), Predictor.load(released)(rgb), atol=1e-3)
    assert (released / "model.onnx").stat().st_size < (released / "model.safetensors").stat().st_size


def test_a_mean_to_start_from_releases_nothing(tmp_path, released, monkeypatch):
    model = workspace(tmp_path / "work", 1.0)
    monkeypatch.setattr(sys, "argv", ["release", str(model), "--to", str(tmp_path / "mean")])
    release.main()
    assert checkpoint.load(tmp_path / "mean").training["logits_times"] == FACTORS[-1]
    assert {path.name for path in released.iterdir()} == {"README.md"}


def test_a_model_too_large_to_ship(tmp_path, released, monkeypatch):
    monkeypatch.setattr(release, "LARGEST", 1000)
    with pytest.raises(UserError, match="too large to ship"):
        release.release([workspace(tmp_path / "work", 1.0)])
    assert {path.name for path in released.iterdir()} == {"README.md"}


def test_without_pairs_to_calibrate_on(tmp_path, released):
    with pytest.raises(UserError, match=r"held back no pairs to calibrate on: set train\.validation"):
        release.release([save_tiny_model(tmp_path / "models/r2mrf")])
    model = workspace(tmp_path / "work", 1.0)
    shutil.rmtree(tmp_path / "work/data")
    with pytest.raises(UserError, match=r"data/augmented/\*\.parquet: no such files"):
        release.release([model])


def test_the_factor_of_another_model_where_no_pairs_were_held_back(tmp_path, released):
    trained = workspace(tmp_path / "work", 1.0)
    calibrated = release.release([trained], to=tmp_path / "calibrated")
    model = save_tiny_model(tmp_path / "all/models/r2mrf", seed=3)
    release.release([model], like=calibrated)
    before, after = checkpoint.load(model), checkpoint.load(released)
    assert after.training["logits_times"] == checkpoint.load(calibrated).training["logits_times"] == FACTORS[-1]
    assert torch.equal(after.network.fusion.weight, FACTORS[-1] * before.network.fusion.weight)
    with pytest.raises(UserError, match=r"work/models/r2mrf: this model was not calibrated"):
        release.release([model], like=trained)
