"""`evaluate` with baselines beside the network: same photos, same counts; training pairs alone choose parameters."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.evaluate import evaluate
from pipelines.evaluation.looks import looks
from r2mrf.config import Config, load
from r2mrf.data import shards
from r2mrf.evaluation.baselines import MEASURES, fit
from r2mrf.evaluation.metrics import Counts
from r2mrf.evaluation.risk import excess_area
from r2mrf.imaging import images
from r2mrf.imaging.maps import to_uint8
from r2mrf.network import checkpoint
from tests.support.model import save_tiny_model

PARAMS = Path(__file__).parents[2] / "params.yaml"


def pair(seed: int, size: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Return noise that is blurred right of a seam, and its mask."""
    rng = np.random.default_rng(seed)
    photo, mask = rng.integers(0, 256, (size, size, 3), dtype=np.uint8), np.zeros((size, size), np.uint8)
    seam = int(rng.integers(size // 4, 3 * size // 4))
    photo[:, seam:] = cv2.GaussianBlur(photo, (0, 0), 3)[:, seam:]
    mask[:, seam:] = 255
    return photo, mask


def write(split: str, seeds: range) -> None:
    rows = []
    for seed in seeds:
        photo, mask = pair(seed)
        row = dict.fromkeys(shards.PAIRS.names) | {"source_id": str(seed), "split": split, "sha256": f"{seed}"}
        rows.append(row | {"image": images.encode_png(photo), "mask": images.encode_png(mask)})
    shards.write(Path(f"data/prepared/{split}-00000.parquet"), rows, shards.PAIRS, "of a test")


@pytest.fixture
def config(tmp_path, monkeypatch) -> Config:
    monkeypatch.chdir(tmp_path)
    save_tiny_model(Path("models/r2mrf"))
    write("train", range(6))
    write("test", range(100, 104))
    given = load(PARAMS)
    return given.model_copy(update={"evaluate": given.evaluate.model_copy(update={"baseline_pairs": 6, "gallery": 2})})


def table() -> dict[str, dict]:
    with Path("reports/evaluate/comparison.csv").open(newline="") as file:
        return {row["method"]: row for row in csv.DictReader(file)}


def test_baselines_beside_the_network(config, capsys):
    evaluate(config)
    rows = table()
    assert list(rows) == ["R²MRF", "Laplacian energy", "gradient energy", "high frequencies"]
    assert {row["photos"] for row in rows.values()} == {"4"}
    figures = json.loads(Path("reports/evaluate/metrics.json").read_text())
    for name in ("mae", "f_max", "f_adaptive", "f_05", "iou"):
        assert float(rows["R²MRF"][name]) == pytest.approx(figures[name], rel=1e-4)
    # noise is what such measures are good at, and an untrained network is not
    assert all(float(row["f_05"]) > 0.85 for name, row in rows.items() if name != "R²MRF")
    for row in rows.values():
        megapixels = 96 * 96 / 1e6
        assert float(row["megapixels_a_second"]) == pytest.approx(megapixels / float(row["seconds_a_photo"]), rel=1e-3)
    assert "gradient energy" in capsys.readouterr().out


def test_what_the_model_is_and_how_its_confidence_does(config):
    evaluate(config)
    model = json.loads(Path("reports/evaluate/model.json").read_text())
    trained = checkpoint.load(Path("models/r2mrf"))
    assert (model["model"], model["sha256"]) == (trained.name, trained.sha256)
    assert model["parameters"] == sum(value.numel() for value in trained.network.parameters())
    with Path("reports/evaluate/photos.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    errors, sure = (np.array([float(row[name]) for row in rows]) for name in ("mae", "confidence"))
    figures = json.loads(Path("reports/evaluate/metrics.json").read_text())
    assert figures["confidence_excess"] == pytest.approx(excess_area(errors, sure), rel=0.01)
    assert Path("reports/evaluate/risk.png").is_file()


def test_a_model_that_sees_the_test_photos_of_a_published_set_is_counted_once(config):
    evaluate(config)
    assert looks() == []  # rendered ones
    real = config.model_copy(update={"data": config.data.model_copy(update={"source": "cuhk"})})
    for _ in range(2):
        evaluate(real)
    (look,) = looks()
    assert (look["source"], look["model"], look["by"]) == ("cuhk", checkpoint.load("models/r2mrf").name, "evaluate")


def test_figures_of_a_baseline_are_those_of_its_maps(config):
    evaluate(config)
    pairs = [pair(seed) for seed in np.random.default_rng([config.seed, 3]).permutation(6)]
    for measure, row in zip(MEASURES, list(table().values())[1:], strict=True):
        baseline, counts = fit(measure, pairs[:3], pairs[3:], 64), Counts()
        for photo, mask in map(pair, range(100, 104)):
            counts.add(to_uint8(baseline(photo)), mask)
        assert float(row["f_05"]) == pytest.approx(counts.summary()["f_05"], abs=1e-4)
        assert row["setting"].startswith(f"window {baseline.window} of 64")


def test_test_photos_do_not_change_a_setting(config):
    evaluate(config)
    before = {name: row["setting"] for name, row in table().items()}
    write("test", range(200, 202))
    evaluate(config)
    assert {name: row["setting"] for name, row in table().items()} == before
