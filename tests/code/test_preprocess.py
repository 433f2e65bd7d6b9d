"""Photo -> network input, network output -> map of the photo's size."""

import numpy as np
import pytest

from r2mrf.imaging.maps import to_uint8
from r2mrf.imaging.preprocess import VERSION, Preprocess


@pytest.fixture
def preprocess() -> Preprocess:
    return Preprocess(size=32, mean=(0.5, 0.4, 0.2), std=(0.5, 0.25, 0.1))


def test_shrink_gives_the_square(preprocess):
    photo = np.full((45, 97, 3), (10, 20, 30), np.uint8)
    np.testing.assert_array_equal(preprocess.shrink(photo), np.full((32, 32, 3), (10, 20, 30)))


def test_a_photo_smaller_than_the_square_is_not_enlarged(preprocess):
    photo = np.random.default_rng(0).integers(0, 256, (20, 32, 3), dtype=np.uint8)
    shrunk = preprocess.shrink(photo)
    np.testing.assert_array_equal(shrunk[:20], photo)
    np.testing.assert_array_equal(shrunk[20:], photo[:7:-1])
    values = np.random.default_rng(0).random((32, 32), dtype=np.float32)
    np.testing.assert_array_equal(preprocess.expand(values, 20, 32), values[:20])


def test_normalise_against_hand_values(preprocess):
    photo = np.array([[[0, 0, 0], [255, 255, 255], [51, 102, 204]]], np.uint8)  # 51/255 = 0.2
    red = [-0.5 / 0.5, 0.5 / 0.5, -0.3 / 0.5]
    green = [-0.4 / 0.25, 0.6 / 0.25, 0.0]
    blue = [-0.2 / 0.1, 0.8 / 0.1, 0.6 / 0.1]
    got = preprocess.normalise(photo)
    assert got.shape == (3, 1, 3)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got[:, 0], [red, green, blue], atol=1e-5)


def test_normalise_batch_is_row_by_row(preprocess):
    photos = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)
    batch = preprocess.normalise(photos)
    assert batch.shape == (4, 3, 5, 6)
    np.testing.assert_array_equal(batch, np.stack([preprocess.normalise(photo) for photo in photos]))


def test_expand_has_the_photos_shape_and_range(preprocess):
    values = np.random.default_rng(0).random((32, 32), dtype=np.float32)
    for shape in [(45, 97), (8, 8), (31, 200), (32, 32)]:
        large = preprocess.expand(values, *shape)
        assert large.shape == shape
        assert large.dtype == np.float32
        assert 0 <= large.min() <= large.max() <= 1


def test_expand_undoes_shrink(preprocess):
    # the left half of the photo is white: in the map, blown up again, the left half of the photo is 1
    photo = np.zeros((48, 96, 3), np.uint8)
    photo[:, :48] = 255
    back = preprocess.expand(preprocess.shrink(photo)[..., 0] / np.float32(255), 48, 96)
    assert (back[:, :46] == 1).all()
    assert (back[:, 50:] == 0).all()


def test_dict_round_trip(preprocess):
    values = preprocess.to_dict()
    assert values["version"] == VERSION
    assert Preprocess.from_dict({**values, "mean": list(values["mean"])}) == preprocess  # as JSON gives it back


def test_other_version_is_refused(preprocess):
    with pytest.raises(ValueError, match=f"version {VERSION + 1}, but this is version {VERSION}") as caught:
        Preprocess.from_dict({**preprocess.to_dict(), "version": VERSION + 1})
    assert "\n" not in str(caught.value)


def test_eight_bit_map_is_rounded():
    # 0.5 · 255 = 127.5, to the even neighbour: what is >= 0.5 stays >= 128
    values = np.float32([0, 0.4 / 255, 0.6 / 255, 0.499, 0.5, 1])
    assert to_uint8(values).tolist() == [0, 0, 1, 127, 128, 255]
