"""The job that labels real photos: which photos it takes, and that `prepare` reads its output."""

from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
import pytest

from pipelines.data.sources import open_source, sharp_sides
from pipelines.jobs import label
from r2mrf.config import Config
from r2mrf.errors import UserError
from r2mrf.imaging import images
from r2mrf.rendering.sharp_photos import find_sharp
from r2mrf.training.pseudo_labels import SURE
from tests.support.source_files import given, rows, texture, write


def asked(root: Path, model: Path, **data) -> Config:
    config = given("composite", root, **data)
    train = config.train.model_copy(update={"start": str(model)})
    return config.model_copy(update={"lite": config.lite.model_copy(update={"train": train})})


@pytest.fixture
def photos(tmp_path) -> Path:
    """Save six sharp crops, two soft ones and three whole photos with segments; return their folder."""
    for seed in range(6):
        write(tmp_path / f"sharp/crops/images/{seed}.png", texture(seed))
    for seed, name in ((6, "crops/images/soft-6"), (7, "crops-soft/images/6")):  # with - for /, their names are equal
        write(tmp_path / f"sharp/{name}.png", cv2.GaussianBlur(texture(seed), (0, 0), 3))
    for seed in (8, 9, 10):
        write(tmp_path / f"sharp/whole/images/{seed}.png", texture(seed))
        segments = np.repeat(np.arange(2, dtype=np.uint8), 48)[None].repeat(96, 0)
        write(tmp_path / f"sharp/whole/segments/{seed}.png", segments)
    return tmp_path


def test_labels_whole_photos_and_soft_crops_that_are_not_for_testing(photos, tiny_model, monkeypatch, capsys):
    # The untrained model is sure of nothing: take what it says.
    monkeypatch.setattr("r2mrf.training.pseudo_labels.SURE", 0.0)
    config = asked(photos, tiny_model, labelled=str(photos / "labelled"))
    label.label_photos(config)
    tests = {
        quote(source.id, safe="") for source in sharp_sides(find_sharp(photos)[0], config.data, config.seed)["test"]
    }
    wanted = {"crops%2Fsoft-6", "crops-soft%2F6", "whole%2F8", "whole%2F9", "whole%2F10"} - tests
    assert {path.stem for path in (photos / "labelled/image").iterdir()} == wanted
    assert f"{len(wanted)} of {len(wanted)} photos" in capsys.readouterr().out
    made = {row["source_id"]: row for row in rows(open_source(config)) if row["kind"] == "labelled"}
    assert made.keys() == wanted
    assert images.decode(made["crops%2Fsoft-6"]["image"]).shape == (64, 64, 3)  # as the network sees it


def test_labelling_again_removes_the_previous_labels(photos, tiny_model):
    config = asked(photos, tiny_model, labelled=str(photos / "labelled"))
    write(photos / "labelled/image/stale.jpg", texture(0))
    label.label_photos(config)
    assert SURE > 0.6  # so an untrained model labels nothing
    assert not list((photos / "labelled").rglob("*.*"))


def test_a_folder_of_something_else_is_not_replaced(photos, tiny_model):
    kept = write(photos / "mine/image/a.png", texture(0)), write(photos / "mine/gt/a.png", texture(0))
    with pytest.raises(UserError, match="mine: it contains gt, which was not written by labelling"):
        label.label_photos(asked(photos, tiny_model, labelled=str(photos / "mine")))
    assert all(path.is_file() for path in kept)


def test_says_what_it_needs(photos, tiny_model):
    with pytest.raises(UserError, match=r"set data\.labelled"):
        label.label_photos(asked(photos, tiny_model))
