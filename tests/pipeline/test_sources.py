"""The sources of `prepare`: each yields rows with labels, and says what is wrong with its files."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.data.sources import open_source
from r2mrf.data import shards
from r2mrf.errors import DataError
from r2mrf.imaging import images
from tests.support.source_files import SIDE, given, rows, texture, write


def check(made: list[dict]) -> None:
    """Check what must hold for the rows of every source."""
    for row in made:
        assert row.keys() == set(shards.PAIRS.names)
        labels = images.decode_mask(row["mask"])
        assert images.decode(row["image"]).shape[:2] == labels.shape
        assert row["defocused"] == pytest.approx((labels > 127).mean())
    ids = {split: {row["source_id"] for row in made if row["split"] == split} for split in ("train", "test")}
    assert len(ids["train"]) + len(ids["test"]) == len(made)
    assert not ids["train"] & ids["test"]


def test_scenes(tmp_path):
    source = open_source(given("synthetic", tmp_path))
    made = rows(source)
    check(made)
    assert [row["split"] for row in made] == ["train"] * 6 + ["test"] * 3
    assert made == rows(open_source(given("synthetic", tmp_path)))


@pytest.fixture
def sharp(tmp_path) -> Path:
    for seed in range(6):
        write(tmp_path / f"sharp/mine/images/photo{seed}.png", texture(seed))
    return tmp_path


def test_composites_and_scenes_are_mixed_and_photos_stay_on_one_side(sharp):
    made = rows(open_source(given("composite", sharp, train=60, test=60, scenes=0.5)))
    check(made)
    sides = {}
    for split in ("train", "test"):
        names = [row["source_id"] for row in made if row["split"] == split]
        sides[split] = {name.rsplit("-", 1)[0] for name in names if not name.startswith("scene-")}
        assert sides[split]
    assert not sides["train"] & sides["test"]
    assert sum(row["source_id"].startswith("scene-") for row in made) == 70  # the first 50 of each 100 items


def test_photos_with_defocus_of_their_own_are_left_out(sharp, capsys):
    write(sharp / "sharp/mine/images/soft.png", cv2.GaussianBlur(texture(9), (0, 0), 3))
    source = open_source(given("composite", sharp, train=40, scenes=0.0))
    assert not any("soft" in row["source_id"] for row in rows(source))
    assert "6 of 7 photos are sharp enough" in capsys.readouterr().err


def test_photos_that_cannot_be_read_are_all_named(sharp):
    for name in ("a.png", "b.png"):
        (sharp / "sharp/mine/images" / name).write_bytes(b"no photo")
    with pytest.raises(DataError) as caught:
        open_source(given("composite", sharp))
    assert "a.png" in str(caught.value).splitlines()[0]
    assert "b.png" in str(caught.value).splitlines()[1]


def test_what_a_row_depends_on_changes_its_rules(sharp):
    config = given("composite", sharp)
    before = open_source(config).rules
    assert open_source(config).rules == before
    write(sharp / "sharp/mine/objects/photo0.png", np.full((SIDE, SIDE), 255, np.uint8))
    assert open_source(config).rules != before


def test_labelled_photos_are_trained_on_too(sharp):
    labelled = sharp / "labelled"
    labels = np.zeros((SIDE, SIDE), np.uint8)
    labels[:, 40:] = 128  # doubt
    labels[:, 60:] = 255
    for name in ("b", "a"):
        write(labelled / "image" / f"{name}.jpg", texture(7))
        write(labelled / "mask" / f"{name}.png", labels)
    config = given("composite", sharp, labelled=str(labelled))
    made = rows(open_source(config))
    check(made)
    added = [row for row in made if row["kind"] == "labelled"]
    assert [(row["source_id"], row["split"]) for row in added] == [("a", "train"), ("b", "train")]
    assert added[0]["doubt"] == pytest.approx(20 / SIDE)
    before = open_source(config).items
    write(labelled / "mask" / "a.png", 255 - labels)
    after = open_source(config).items
    assert [item["labelled"] for item in after if item not in before] == ["a"]  # and nothing is rendered again
    (labelled / "mask" / "a.png").unlink()
    with pytest.raises(DataError, match="not a complete set of pairs"):
        open_source(config)


def test_labelled_photos_that_are_not_there(sharp):
    with pytest.raises(DataError, match=r"python -m pipelines\.jobs\.label"):
        open_source(given("composite", sharp, labelled=str(sharp / "nowhere")))


def write_pairs(root: Path) -> None:
    """Write three pairs for training and two for testing, blurred in the half that is white in their masks."""
    for split, count in (("train", 3), ("test", 2)):
        for i in range(count):
            photo = texture(10 * len(split) + i)
            photo[:, :48] = cv2.GaussianBlur(photo, (0, 0), 4)[:, :48]
            mask = np.zeros((SIDE, SIDE), np.uint8)
            mask[:, :48] = 255
            write(root / split / "image" / f"{i}.png", photo)
            write(root / split / "mask" / f"{i}.png", mask)


def test_published_pairs(tmp_path):
    write_pairs(tmp_path)
    made = rows(open_source(given("pairs", tmp_path)))
    check(made)
    assert {row["defocused"] for row in made} == {0.5}
    assert [row["blur_radius"] for row in made] == [None] * 5


def test_inverted_masks_are_refused(tmp_path):
    write_pairs(tmp_path)
    with pytest.raises(DataError, match="inverted"):
        open_source(given("pairs", tmp_path, white="focus"))
