"""Near copies: crops, shrunk, mirrored and recompressed photographs are found; repeated structures are not."""

import cv2
import numpy as np
import pytest

from pipelines.data.near_copies import Index
from r2mrf.imaging import images
from tests.support.box_photos import photo_of_a_box, texture


@pytest.fixture(scope="module")
def photos() -> dict[str, np.ndarray]:
    """Return photos of boxes, twice as large as drawn."""
    return {f"photo{i}": cv2.resize(photo_of_a_box(10 * i), None, fx=2, fy=2) for i in range(6)}


@pytest.fixture(scope="module")
def index(photos) -> Index:
    return Index(photos)


CHANGES = {
    "itself": lambda photo: photo,
    "a crop": lambda photo: photo[60:280, 70:300],
    "shrunk": lambda photo: cv2.resize(photo, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA),
    "a crop, mirrored": lambda photo: photo[40:300, 20:290, ::1][:, ::-1],
    "compressed": lambda photo: images.decode(images.encode_jpeg(photo, quality=50)),
    "darker": lambda photo: (photo * 0.6).astype(np.uint8),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_shows_a_photo_is_found(index, photos, change):
    for name in ("photo1", "photo4"):
        found = index.find(np.ascontiguousarray(CHANGES[change](photos[name])))
        assert found is not None
        assert (found.of, found.mirrored) == (name, "mirrored" in change)


def test_other_photos_are_not_found(index):
    for seed in range(100, 106):
        assert index.find(cv2.resize(photo_of_a_box(seed), None, fx=2, fy=2)) is None


def test_one_fence_is_not_another():
    def fence(seed: int, gap: int) -> np.ndarray:
        ground = cv2.GaussianBlur(texture(seed, 320, 320), (0, 0), 12)
        ground[:, ::gap] = ground[::gap] = 20
        ground[:, 1::gap] = ground[1::gap] = 230
        return ground

    index = Index({"fence": fence(1, 16)})
    assert index.find(fence(2, 16)) is None
    assert index.find(fence(1, 16)) is not None


def test_a_photo_without_features_is_none(index):
    assert index.find(np.full((200, 200, 3), 128, np.uint8)) is None
