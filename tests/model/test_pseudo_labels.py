"""Labels from a model's own maps: pixels that it is sure of, whole objects, and no photo that it is unsure of."""

from pathlib import Path

import numpy as np
import pytest
import torch

from r2mrf.imaging import images
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.network.checkpoint import Checkpoint
from r2mrf.network.model import R2MRF
from r2mrf.prediction.predictor import Predictor
from r2mrf.rendering.sharp_photos import Sharp
from r2mrf.training.pseudo_labels import label, mask_of
from tests.support.model import architecture


def test_sure_pixels_are_labelled_and_the_rest_is_doubt():
    defocus = np.array([[0.0, 0.15, 0.16, 0.5, 0.84, 0.85, 1.0]])
    assert mask_of(defocus, np.zeros((1, 7), int)).tolist() == [[0, 0, 128, 128, 128, 255, 255]]


def test_a_thing_takes_the_label_of_most_of_it():
    defocus = np.array([[0.0, 0.0, 0.1, 0.7], [0.9, 0.9, 0.8, 0.4], [0.9, 0.1, 0.5, 0.5]])
    things = np.array([[1, 1, 1, 1], [2, 2, 2, 2], [3, 3, 3, 3]])
    # means 0.2, 0.75 and 0.5: the first is in focus, the second defocused, of the third each pixel speaks for itself
    assert mask_of(defocus, things).tolist() == [[0, 0, 0, 0], [255, 255, 255, 255], [255, 0, 128, 128]]


def test_pixels_outside_objects_are_labelled_one_by_one():
    assert mask_of(np.array([[0.9, 0.9, 0.9, 0.6]]), np.zeros((1, 4), int)).tolist() == [[255, 255, 255, 128]]


def predictor(bias: float) -> Predictor:
    """Return a predictor that answers sigmoid(bias) everywhere."""
    model = architecture(steps=1)
    network = R2MRF(model)
    with torch.no_grad():
        network.fusion.weight.zero_()
        network.fusion.bias.fill_(bias)
    return Predictor(Checkpoint(network, model, Preprocess(64, network.backbone.mean, network.backbone.std)))


def photo(folder: Path, height: int, width: int) -> Sharp:
    path = folder / "photo.png"
    path.write_bytes(images.encode_png(np.full((height, width, 3), 128, np.uint8)))
    return Sharp("set/photo", "set/photo", path)


@pytest.mark.parametrize(("given", "seen"), [((100, 130), (64, 64)), ((48, 100), (48, 64)), ((40, 50), (40, 50))])
def test_photos_are_shrunk_as_in_training_and_never_enlarged(tmp_path, given, seen):
    rgb, mask = label(predictor(9.0), photo(tmp_path, *given))
    assert rgb.shape == (*seen, 3)
    assert mask.shape == seen
    assert (mask == 255).all()


def test_a_photo_that_the_model_is_unsure_of_is_left_out(tmp_path):
    assert label(predictor(1.0), photo(tmp_path, 64, 64)) is None


@pytest.mark.parametrize("kind", ["objects", "segments"])
def test_outlines_are_read(tmp_path, kind):
    # sigmoid(1.3) = 0.79: too little for a pixel, enough for an object
    drawn = np.zeros((64, 64), np.uint8)
    drawn[:, :50] = 255 if kind == "objects" else 7
    path = tmp_path / "outlines.png"
    path.write_bytes(images.encode_png(drawn))
    source = Sharp("set/photo", "set/photo", photo(tmp_path, 64, 64).image, **{kind: path})
    _, mask = label(predictor(1.3), source)
    assert (mask[:, :50] == 255).all()
    assert (mask[:, 50:] == (128 if kind == "objects" else 255)).all()
