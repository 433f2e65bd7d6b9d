"""Records of photos, made from their bytes."""

import hashlib
import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from r2mrf.config import Score
from r2mrf.imaging import images
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.network.checkpoint import Checkpoint
from r2mrf.network.model import R2MRF
from r2mrf.prediction.focus import VERDICTS
from r2mrf.prediction.predictor import Predictor
from r2mrf.prediction.record import DETAIL, record, shrink
from tests.support.model import architecture

FIELDS = {"status", "error", "width", "height", "content_sha256", "blur_fraction", "focus_area", "focus_x0", "focus_y0"}
FIELDS |= {"focus_x1", "focus_y1", "center_blur", "confidence", "verdict"}


def saying(defocused: bool | None) -> Predictor:
    """Return a predictor that gives every pixel the same answer; None: random weights."""
    torch.manual_seed(0)
    model = architecture()
    network = R2MRF(model)
    if defocused is not None:
        with torch.no_grad():
            network.fusion.weight.zero_()
            network.fusion.bias.fill_(20.0 if defocused else -20.0)
    return Predictor(Checkpoint(network, model, Preprocess(64, network.backbone.mean, network.backbone.std)))


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return saying(None)


def jpeg(height=90, width=130, **options) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "jpeg", **options)
    return file.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90°
    return jpeg(exif=exif)


def test_record_of_a_photo(predictor):
    row = record(predictor, jpeg(), Score())
    assert row.keys() == FIELDS
    assert (row["status"], row["error"], row["width"], row["height"]) == ("ok", None, 130, 90)
    assert row["content_sha256"] == hashlib.sha256(jpeg()).hexdigest()
    for name in ("blur_fraction", "focus_area", "center_blur", "confidence"):
        assert 0 <= row[name] <= 1
        assert type(row[name]) is float
    assert row["verdict"] in VERDICTS
    assert record(predictor, jpeg(), Score()) == row


def test_detail_adds_its_fields_and_nothing_else_changes(predictor):
    plain, detailed = record(predictor, jpeg(), Score()), record(predictor, jpeg(), Score(detail=True))
    assert detailed.keys() - plain.keys() == set(DETAIL)
    nearly = pytest.approx(plain["confidence"], rel=1e-5)  # the network may round otherwise if it sees two pictures
    assert {name: detailed[name] for name in plain} == plain | {"confidence": nearly}
    assert record(predictor, b"no photo", Score(detail=True)).keys() == detailed.keys()


def test_size_is_the_displayed_one(predictor):
    row = record(predictor, turned(), Score())
    assert (row["width"], row["height"]) == (90, 130)


def test_photo_that_is_all_sharp():
    row = record(saying(False), turned(), Score())
    assert (row["blur_fraction"], row["focus_area"], row["center_blur"], row["verdict"]) == (0, 1, 0, "sharp")
    assert [row[f"focus_{edge}"] for edge in ("x0", "y0", "x1", "y1")] == [0, 0, 90, 130]
    assert row["confidence"] == pytest.approx(1, abs=1e-3)


def test_photo_that_is_all_defocused():
    row = record(saying(True), jpeg(), Score())
    assert (row["blur_fraction"], row["focus_area"], row["verdict"]) == (1, 0, "blurred")
    assert [row[f"focus_{edge}"] for edge in ("x0", "y0", "x1", "y1")] == [0, 0, 0, 0]
    assert row["center_blur"] == pytest.approx(1)


def test_limits_of_the_verdict_are_options():
    assert record(saying(True), jpeg(), Score(blurred_above=1.0))["verdict"] == "partial"


def test_a_flat_photo_has_no_evidence_whatever_the_network_says():
    wall = images.encode_png(np.full((64, 70, 3), 190, np.uint8))
    for defocused in (True, False):
        assert record(saying(defocused), wall, Score())["verdict"] == "flat"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"no picture at all", "not_an_image"),
        (jpeg(height=60)[:700], "corrupt"),
        (jpeg(height=7), "too_small"),
        (jpeg(height=101, width=100), "too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_record_of_a_photo_that_fails(predictor, data, reason):
    row = record(predictor, data, Score(max_pixels=10_000))
    assert row.keys() == FIELDS
    assert row["status"] == "failed"
    assert row["error"].startswith(f"{reason}: ")
    assert "\n" not in row["error"]
    assert {row[name] for name in FIELDS - {"status", "error"}} == {None}


def test_largest_photo_allowed_is_scored(predictor):
    assert record(predictor, jpeg(height=100, width=100), Score(max_pixels=10_000))["status"] == "ok"


def test_a_photo_in_a_wide_border_is_scored_if_only_a_finer_decoding_is_too_large(predictor):
    pixels = np.zeros((1600, 1600, 3), np.uint8)
    pixels[600:1000, 600:1000] = np.random.default_rng(0).integers(0, 256, (400, 400, 3))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg")
    with pytest.raises(images.ImageError):  # of the size at which the part inside the border has enough pixels
        images.decode_reduced(file.getvalue(), 512, 300_000)
    assert record(predictor, file.getvalue(), Score(max_pixels=300_000))["status"] == "ok"


@pytest.mark.parametrize("size", [(8, 8), (8, 900), (64, 64), (333, 8)])
def test_nothing_is_ever_not_a_number(predictor, size):
    for value in (0, 127, 255):
        flat = images.encode_png(np.full((*size, 3), value, np.uint8))
        row = record(predictor, flat, Score())
        assert row["status"] == "ok"
        assert all(math.isfinite(v) for v in row.values() if isinstance(v, float | int))
        assert 0 <= row["focus_x0"] <= row["focus_x1"] <= size[1]
        assert 0 <= row["focus_y0"] <= row["focus_y1"] <= size[0]


def test_full_size_pixels_go_no_further(predictor):
    shrunk = shrink(jpeg(400, 600), predictor.preprocess, 10**6)
    assert shrunk.pixels.shape == (64, 64, 3)
    assert (shrunk.width, shrunk.height) == (600, 400)
