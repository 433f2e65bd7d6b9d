"""Sharp photographs on disk: found with their metadata, judged for sharpness, split by their subject."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from r2mrf.errors import DataError
from r2mrf.imaging import images
from r2mrf.rendering.camera import to_linear, to_srgb
from r2mrf.rendering.lens import defocus
from r2mrf.rendering.sharp_photos import Sharp, find_sharp, grain, is_sharp, sharpness, split_groups
from tests.support.box_photos import SHARED, SIDE, photo_of_a_box, texture


def blurred(photo: np.ndarray, radius: float) -> np.ndarray:
    return np.rint(to_srgb(defocus(to_linear(photo), radius)) * 255).astype(np.uint8)


# On disk.


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Save two sets of photos (crops with objects, one photo with segments), one set of shapes, and other files."""
    crops = [f"{part}/{name}.png" for part in ("images", "objects") for name in ("2007_000001_1", "2007_000001_2")]
    files = [f"sharp/crops/{name}" for name in crops]
    files += ["sharp/wide/images/IMG_1.JPG", "sharp/wide/segments/IMG_1.png", "sharp/wide/images/IMG_0.png"]
    files += ["shapes/round/circle.png", "sharp/wide/images/.hidden.png", "sharp/wide/images/notes.txt"]
    for path in map(tmp_path.joinpath, files):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def test_sources_are_found_with_what_is_known_of_them(root: Path) -> None:
    sources, shapes = find_sharp(root)
    assert [source.id for source in sources] == [
        "crops/2007_000001_1",
        "crops/2007_000001_2",
        "wide/IMG_0",
        "wide/IMG_1",
    ]
    crop, plain, wide = sources[1:]
    assert crop.group == "crops/2007_000001" and crop.objects.name == "2007_000001_2.png" and crop.segments is None
    assert plain.group == plain.id and plain.objects is None and plain.segments is None
    assert wide.image.name == "IMG_1.JPG" and wide.segments.name == "IMG_1.png" and wide.objects is None
    assert [path.name for path in shapes] == ["circle.png"]


def test_a_missing_layout_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="sharp/SET/images") as error:
        find_sharp(tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in str(error.value)


def test_no_group_stands_on_both_sides() -> None:
    sources = [Sharp(f"set/{g}_{c}", f"set/{g}", Path(f"{g}_{c}.jpg")) for g in range(40) for c in range(g % 4 + 1)]
    train, test = split_groups(sources, share=0.25, seed=3)
    assert sorted(s.id for s in train + test) == sorted(s.id for s in sources)
    assert not {s.group for s in train} & {s.group for s in test}
    assert len({s.group for s in test}) == 10
    assert split_groups(sources[::-1], 0.25, 3)[1] == test[::-1]  # whatever the order
    assert split_groups(sources, 0.25, 4)[1] != test
    # what is added later leaves nearly all where they were
    more = [*sources, *(Sharp(f"new/{n}", f"new/{n}", Path(f"{n}.jpg")) for n in range(4))]
    assert len({s.group for s in test} & {s.group for s in split_groups(more, 0.25, 3)[1]}) >= 7


def test_both_sides_of_a_split_hold_something() -> None:
    sources = [Sharp("a", "a", Path("a")), Sharp("b", "b", Path("b"))]
    for share in (0.0, 1.0):
        assert [len(side) for side in split_groups(sources, share, 0)] == [1, 1]
    with pytest.raises(DataError, match="at least two"):
        split_groups(sources[:1], 0.5, 0)


# Sharpness.


def test_sharp_photos_are_accepted() -> None:
    assert is_sharp(texture(0)) and is_sharp(photo_of_a_box(1))


def test_flat_things_with_sharp_edges_are_accepted() -> None:
    rng = np.random.default_rng(0)
    photo = np.full((SIDE, SIDE, 3), 120, np.uint8)
    for x, y in rng.integers(0, SIDE, (60, 2)).tolist():
        cv2.rectangle(photo, (x, y), (x + 25, y + 18), rng.integers(20, 235, 3).tolist(), -1, cv2.LINE_AA)
    assert is_sharp(photo)
    assert not is_sharp(blurred(photo, 2.5))


@pytest.mark.parametrize("radius", [2.0, 4.0, 10.0])
def test_blurred_photos_are_refused(radius: float) -> None:
    photo = texture(0)
    soft = blurred(photo, radius)
    assert not is_sharp(soft)
    half = photo.copy()
    half[:, SIDE // 2 :] = soft[:, SIDE // 2 :]
    assert not is_sharp(half)
    noisy = np.clip(soft + np.random.default_rng(0).normal(0, 1.5, soft.shape), 0, 255).astype(np.uint8)
    assert not is_sharp(noisy)  # noise is no detail


def test_a_photo_without_texture_is_refused() -> None:
    assert sharpness(np.full((SIDE, SIDE, 3), 90, np.uint8)) == (0, 0)
    assert not is_sharp(np.full((SIDE, SIDE, 3), 90, np.uint8))


def test_grain_is_the_noise_of_what_is_smooth() -> None:
    flat = np.full((SIDE, SIDE, 3), 120, np.uint8)
    assert grain(flat) == 0
    noisy = flat + np.rint(np.random.default_rng(0).normal(0, 1.5, (SIDE, SIDE, 1))).astype(np.int8)
    noisy = noisy.astype(np.uint8)
    assert grain(noisy) == pytest.approx(1.4, abs=0.2)
    noisy[:, SIDE // 2 :] = texture(0)[:, SIDE // 2 :]
    assert grain(noisy) == pytest.approx(1.4, abs=0.2)  # detail elsewhere is none
    assert grain(texture(0)) == 2  # where nothing is smooth, there is no telling


@pytest.mark.skipif(not (SHARED / "sharp").is_dir(), reason=f"{SHARED / 'sharp'}: no real photographs here")
def test_real_photographs() -> None:
    sources, shapes = find_sharp(SHARED)
    train, test = split_groups(sources, 0.1, 0)
    assert shapes and len(train) + len(test) == len(sources)
    assert not {s.group for s in train} & {s.group for s in test}
    some = sources[:: len(sources) // 40]
    assert sum(is_sharp(images.load(source.image)) for source in some) > len(some) / 2
