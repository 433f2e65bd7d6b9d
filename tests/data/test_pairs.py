"""Checks of a photo and its mask find a wrong polarity, turned photos, and masks that are none or doubtful."""

import pickle

import cv2
import numpy as np
import pytest
from PIL import Image

from r2mrf.data import pairs
from r2mrf.data.pairs import read_pair
from r2mrf.errors import DataError
from r2mrf.imaging import images
from tests.support.drawn_set import HEIGHT, WIDTH, blurred, check_pairs, data, find_pairs, photo, write


@pytest.fixture
def pair(tmp_path) -> pairs.Pair:
    write(tmp_path / "a.png", photo(0))
    write(tmp_path / "a_mask.png", blurred())
    return pairs.Pair("a", "train", tmp_path / "a.png", tmp_path / "a_mask.png", "defocus")


def test_polarity_is_judged_for_each_split(tmp_path):
    for split, mask in (("train", blurred()), ("test", 255 - blurred())):
        for i in range(4 if split == "train" else 1):
            write(tmp_path / split / "image" / f"{i}.png", photo(i + (split == "test") * 9))
            write(tmp_path / split / "mask" / f"{i}.png", mask)
    errors, _ = check_pairs(find_pairs(data("pairs", tmp_path)))
    assert len(errors) == 1
    assert str(tmp_path / "test" / "mask") in errors[0]


def test_photo_turned_by_exif_comes_upright(pair, tmp_path):
    stored = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter
    Image.fromarray(photo(0)).save(stored, exif=exif)
    write(pair.mask, np.rot90(blurred(), -1).copy())
    turned = pairs.Pair("a", "train", stored, pair.mask, "defocus")
    image, mask = read_pair(turned)
    assert Image.open(stored).size == (WIDTH, HEIGHT)
    np.testing.assert_array_equal(images.decode(image), images.load(stored))
    assert images.decode(image).shape[:2] == images.decode_mask(mask).shape == (WIDTH, HEIGHT)
    assert image.startswith(b"\x89PNG")

    write(pair.mask, blurred())  # drawn on the pixels as they are stored
    with pytest.raises(DataError, match="the photo's EXIF turns it"):
        read_pair(turned)


def test_antialiased_mask_is_warned_of_and_kept(pair):
    soft = cv2.GaussianBlur(blurred(), (0, 0), 2)
    write(pair.mask, soft)
    errors, warnings = check_pairs([pair])
    assert errors == []
    assert "grey" in warnings[0]
    assert str(pair.mask) in warnings[0]
    np.testing.assert_array_equal(images.decode_mask(read_pair(pair)[1]), soft)


@pytest.mark.parametrize(("value", "words"), [(0, "entirely in focus"), (255, "entirely defocused")])
def test_mask_of_one_value_is_warned_of(pair, value, words):
    write(pair.mask, np.full((HEIGHT, WIDTH), value, np.uint8))
    errors, warnings = check_pairs([pair])
    assert errors == []
    assert words in warnings[0]
    assert "to check its polarity" in warnings[1]  # nor can its polarity be checked


def test_a_mask_is_read_as_in_evaluation_and_that_is_said(pair):
    write(pair.mask, blurred() // 255)
    errors, warnings = check_pairs([pair])
    assert (errors, warnings) == ([], [f"{pair.mask}: masks of 0 and 1 instead of 0 and 255; 1 is read as white."])
    np.testing.assert_array_equal(images.decode_mask(read_pair(pair)[1]), blurred())


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (blurred() // 255 * np.uint8(100), "its brightest value is 100 of 255"),
        (np.full((HEIGHT, WIDTH), 150, np.uint8), "so it is not a mask"),
    ],
    ids=["dark", "grey"],
)
def test_what_is_no_mask_is_refused(pair, pixels, words):
    write(pair.mask, pixels)
    assert words in check_pairs([pair])[0][0]


def test_same_photo_twice_in_a_split_is_warned_of(pair):
    errors, warnings = check_pairs([pair, pairs.Pair("b", "train", pair.image, pair.mask, "defocus")])
    assert errors == []
    assert "more than once" in warnings[0]


def test_long_lists_of_doubtful_masks_are_cut(pair):
    facts = [pairs.Facts(pair, content=str(i), grey=0.1, focus_ratio=2.0) for i in range(100)]
    warnings = pairs.check_facts(facts)[1]
    assert "and 92 more" in warnings[0]


class TestFocusRatio:
    def test_above_one_where_the_mask_is_right(self):
        assert pairs.focus_ratio(photo(0), blurred()) > 2

    def test_below_one_where_it_is_inverted(self):
        assert pairs.focus_ratio(photo(0), 255 - blurred()) < 0.5

    def test_one_for_a_flat_photo(self):
        assert pairs.focus_ratio(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), blurred()) == 1

    def test_an_edge_along_the_boundary_counts_for_neither(self):
        step = cv2.merge([blurred()] * 3)
        assert pairs.focus_ratio(step, blurred()) == 1

    def test_none_where_a_side_is_too_small(self):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[:5, :5] = 255
        assert pairs.focus_ratio(photo(0), mask) is None

    def test_large_photos_are_judged_alike(self):
        large = cv2.resize(photo(0), (1600, 1200), interpolation=cv2.INTER_CUBIC)
        assert pairs.focus_ratio(large, blurred(1200, 1600)) > 2

    def test_few_hard_photos_are_not_refused(self, pair):
        ratios = (0.9, 1.0, 1.1)
        facts = [pairs.Facts(pair, (), str(ratio), defocused=0.5, focus_ratio=ratio) for ratio in ratios]
        errors, warnings = pairs.check_facts(facts)
        assert errors == []
        assert "too close to tell" in warnings[0]


def test_errors_survive_pickling():
    error = pickle.loads(pickle.dumps(DataError("one", "two")))
    assert error.problems == ["one", "two"]
    assert str(error) == "one\ntwo"
