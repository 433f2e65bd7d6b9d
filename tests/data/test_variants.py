"""The 16 variants of a pair: labels stay true, photo and mask move together, and a record replays."""

import hashlib
import io
import json

import albumentations as A
import cv2
import numpy as np
import pytest
from PIL import Image

from r2mrf.config import Augment
from r2mrf.data.variants import variants
from r2mrf.imaging import images

AUGMENT = Augment(variants=16, max_rotation=10.0, min_scale=0.85)
HEIGHT, WIDTH = 150, 201  # odd, and not square


def blobs(height=HEIGHT, width=WIDTH) -> np.ndarray:
    """Return a mask of large smooth shapes without any symmetry."""
    noise = np.random.default_rng(0).random((height, width), np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 12)
    return np.where(smooth > np.median(smooth), 255, 0).astype(np.uint8)


def texture(height=HEIGHT, width=WIDTH) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def rows_of(photo, mask, *, seed=7, source="s", augment=AUGMENT) -> list[dict]:
    return variants(source, images.encode_png(photo), images.encode_png(mask), seed, augment)


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return rows_of(texture(), blobs())


def test_sixteen_all_different(rows):
    assert [row["variant"] for row in rows] == list(range(16))
    assert {row["source_id"] for row in rows} == {"s"}
    assert len({row["image"] for row in rows}) == len({row["mask"] for row in rows}) == 16


def test_row_0_is_the_pair_byte_for_byte():
    file = io.BytesIO()
    Image.fromarray(texture()).save(file, "jpeg", quality=40, comment=b"kept")
    mask = images.encode_png(blobs())
    row = variants("s", file.getvalue(), mask, 7, AUGMENT)[0]
    assert (row["image"], row["mask"]) == (file.getvalue(), mask)
    assert json.loads(row["transform"]) is None


def test_hash_is_of_photo_and_mask(rows):
    for row in rows:
        assert row["sha256"] == hashlib.sha256(row["image"] + row["mask"]).hexdigest()


def test_photo_and_mask_move_together():
    # the photo is a picture of its mask: after any transform it must still be
    mask = blobs()
    for row in rows_of(np.dstack([mask] * 3), mask)[1:]:
        photo, labels = images.decode(row["image"])[..., 1], images.decode_mask(row["mask"])
        assert photo.shape == labels.shape
        inside = [
            cv2.erode(side.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0 for side in (labels < 1, labels > 254)
        ]
        assert min(side.mean() for side in inside) > 0.2
        assert photo[inside[0]].max() < 60
        assert photo[inside[1]].min() > 195


def test_record_replays_to_the_same_pixels(rows):
    photo, mask = texture(), blobs()
    for row in rows[1:]:
        again = A.from_dict(json.loads(row["transform"]))(image=photo, mask=mask)
        photo_again, labels = again["image"], again["mask"]
        np.testing.assert_array_equal(labels, images.decode_mask(row["mask"]))
        assert images.encode_jpeg(photo_again) == row["image"]
        assert images.encode_png(labels) == row["mask"]
    assert json.loads(rows[0]["transform"]) is None


def test_same_seed_and_source_same_bytes(rows):
    assert rows_of(texture(), blobs()) == rows


@pytest.mark.parametrize("other", [{"seed": 8}, {"source": "t"}])
def test_other_seed_or_source_other_transforms(rows, other):
    changed = rows_of(texture(), blobs(), **other)
    same = [a["variant"] for a, b in zip(rows, changed, strict=True) if a["transform"] == b["transform"]]
    assert same == [0]


def test_fewer_variants_are_the_first_ones(rows):
    assert rows_of(texture(), blobs(), augment=AUGMENT.model_copy(update={"variants": 4})) == rows[:4]


def test_corners_are_cropped_away_not_filled():
    white = rows_of(np.full((HEIGHT, WIDTH, 3), 255, np.uint8), np.full((HEIGHT, WIDTH), 255, np.uint8))
    for row in white:
        assert images.decode(row["image"]).min() == 255
        assert images.decode_mask(row["mask"]).min() == 255


def test_rotations_go_both_ways_and_are_large_enough_to_matter(rows):
    angles = [step["limit"][0] for row in rows[1:] for step in steps_of(row) if "limit" in step]
    assert len(angles) == 15
    assert -10 <= min(angles) < -3 < 3 < max(angles) <= 10


def test_never_enlarged_and_never_shrunk_below_the_limit(rows):
    # with min_scale 1 the same rotations are drawn, and nothing shrinks: the size after cropping
    cropped = rows_of(texture(), blobs(), augment=AUGMENT.model_copy(update={"min_scale": 1.0}))
    shares = []
    for row, unshrunk in zip(rows, cropped, strict=True):
        size, before = (np.array(images.decode_mask(r["mask"]).shape) for r in (row, unshrunk))
        assert (before <= (HEIGHT, WIDTH)).all()
        assert (size <= before).all()
        assert (size >= np.floor(0.85 * before)).all()
        shares.append(size / before)
    assert abs(np.diff(shares)).max() < 0.01  # proportions are kept
    assert np.min(shares) < 0.9  # it is made use of


def test_half_of_them_are_mirrored():
    # a photo dark on the left, bright on the right: its slope turns with it
    ramp = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
    photos = [images.decode(row["image"]).mean(axis=(0, 2)) for row in rows_of(np.dstack([ramp] * 3), blobs())]
    assert sum(line[0] > line[-1] for line in photos) == 8


def test_nothing_that_would_make_a_label_false(rows):
    used = {step["__class_fullname__"] for row in rows[1:] for step in steps_of(row)}
    assert used == {"HorizontalFlip", "Rotate", "RandomScale"}


def steps_of(row: dict) -> list[dict]:
    return json.loads(row["transform"])["transform"]["transforms"]


def test_without_rotation_and_shrinking_only_the_mirror_is_left():
    still = Augment(variants=3, max_rotation=0, min_scale=1)
    photo, mask = texture(), blobs()
    _, mirrored, same = rows_of(photo, mask, augment=still)
    np.testing.assert_array_equal(images.decode_mask(mirrored["mask"]), mask[:, ::-1])
    np.testing.assert_array_equal(images.decode_mask(same["mask"]), mask)


def test_sizes_that_differ():
    with pytest.raises(ValueError, match=r"^street-7: .*\(150, 201\).*\(150, 200\)"):
        rows_of(texture(), blobs(width=200), source="street-7")


def test_broken_bytes():
    good = images.encode_png(texture()), images.encode_png(blobs())
    for pair in ((b"no picture", good[1]), (good[0], b"no picture"), (good[0][:200], good[1]), (b"", good[1])):
        with pytest.raises(images.ImageError):
            variants("s", *pair, 7, AUGMENT)
