"""Sharp photographs with rendered defocus: honest labels, no light where it does not belong, no enlarging."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from r2mrf.errors import DataError
from r2mrf.imaging import images
from r2mrf.rendering import composite
from r2mrf.rendering.camera import Camera, to_linear, to_srgb
from r2mrf.rendering.composite import KINDS, render_composite
from r2mrf.rendering.lens import DOUBT_COC, FOCUS_COC
from r2mrf.rendering.photograph import RenderedPhoto
from r2mrf.rendering.sharp_photos import Sharp, find_sharp, is_sharp
from tests.support.box_photos import BOX, SHARED, SIDE, photo_of_a_box, texture


def detail(image: np.ndarray, where: np.ndarray) -> float:
    return float(np.abs(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_32F))[where].mean())


def away(side: np.ndarray, pixels: int = 16) -> np.ndarray:
    return cv2.erode(side.astype(np.uint8), np.ones([2 * pixels + 1] * 2, np.uint8)) > 0


IS_BOX = np.zeros((SIDE, SIDE), bool)
IS_BOX[BOX] = True
IN_BOX, BEYOND = away(IS_BOX), away(~IS_BOX)


def left(source: np.ndarray, photo: RenderedPhoto, where: np.ndarray) -> float:
    """Return the share of detail that is left in a region."""
    return detail(photo.image, where) / detail(source, where)


def write(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_png(pixels))
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save two sets of sharp photos, one with objects, one with segments and other sizes, and shapes."""
    root = tmp_path_factory.mktemp("photos")
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[BOX] = 255
    for number, name in enumerate(("2007_000001_1", "2007_000001_2", "2007_000002_1", "2008_000002_1")):
        write(root / f"sharp/crops/images/{name}.png", photo_of_a_box(10 * number))
        write(root / f"sharp/crops/objects/{name}.png", mask)
    segments = np.repeat(np.arange(4, dtype=np.uint8), 60)[:, None].repeat(300, 1)
    segments[60:180, 100:180] = 7
    for number in range(2):
        write(root / f"sharp/wide/images/IMG_{number}.png", texture(number, 240, 300))
        write(root / f"sharp/wide/segments/IMG_{number}.png", segments)
    write(root / "sharp/plain/images/alone.png", texture(5))
    shape = np.full((120, 200), 255, np.uint8)
    cv2.circle(shape, (100, 60), 40, 0, -1)
    write(root / "shapes/round/circle.png", shape)
    return root


@pytest.fixture(scope="module")
def found(root: Path) -> tuple[dict[str, Sharp], list[Path]]:
    sources, shapes = find_sharp(root)
    return {source.id: source for source in sources}, shapes


@pytest.fixture(scope="module")
def boxes(found) -> list[tuple[np.ndarray, RenderedPhoto]]:
    """Return many renderings of photos of a box, and the photos."""
    sources, shapes = found
    chosen = [source for source in sources.values() if source.objects]
    return [
        (images.load(source.image), render_composite(source, shapes, seed)) for seed in range(25) for source in chosen
    ]


def of_kind(boxes, kind: str) -> list[tuple[np.ndarray, RenderedPhoto]]:
    chosen = [(source, photo) for source, photo in boxes if photo.kind == kind]
    assert len(chosen) > 3
    return chosen


def test_same_seed_same_bytes_whatever_the_threads(found) -> None:
    sources, shapes = found
    threads = cv2.getNumThreads()
    for source in sources.values():
        first = render_composite(source, shapes, 3)
        try:
            cv2.setNumThreads(1)
            again = render_composite(source, shapes, 3)
        finally:
            cv2.setNumThreads(threads)
        assert first.jpeg == again.jpeg and first.kind == again.kind
        assert (first.mask == again.mask).all() and (first.coc == again.coc).all()
        assert render_composite(source, shapes, 4).jpeg != first.jpeg


def test_the_folder_does_not_matter(found, tmp_path: Path) -> None:
    sources, shapes = found
    source = sources["plain/alone"]
    moved = Sharp(source.id, source.group, Path(shutil.copy(source.image, tmp_path)))
    assert render_composite(source, shapes, 1).jpeg == render_composite(moved, shapes, 1).jpeg


def test_nothing_is_enlarged(found) -> None:
    sources, shapes = found
    for size, name, side in ((320, "wide/IMG_0", 240), (320, "plain/alone", SIDE), (96, "wide/IMG_0", 96)):
        photo = render_composite(sources[name], shapes, 1, size)
        assert photo.image.shape == (side, side, 3) and photo.mask.shape == photo.coc.shape == (side, side)
        assert photo.image.dtype == photo.mask.dtype == np.uint8 and photo.coc.dtype == np.float32
        assert (images.decode(photo.jpeg) == photo.image).mean() > 0.99  # decoders may round differently


def test_mask_follows_the_circle_of_confusion(boxes) -> None:
    for _, photo in boxes:
        assert (photo.coc[photo.mask == 0] <= FOCUS_COC + 0.01).all()
        assert (photo.coc[photo.mask == 255] >= FOCUS_COC + DOUBT_COC - 0.01).all()


def test_the_object_is_sharp_before_a_blurred_background(boxes) -> None:
    kept = []
    for source, photo in of_kind(boxes, "object"):
        assert (photo.mask[IN_BOX] == 0).all()
        if (photo.mask[BEYOND] == 255).all():  # else there is a ground that is in focus in part
            kept.append(left(source, photo, BEYOND) / left(source, photo, IN_BOX))
    assert 5 < len(kept) < len(of_kind(boxes, "object")) - 3
    assert np.median(kept) < 0.6


def test_the_background_is_sharp_behind_a_blurred_object(boxes) -> None:
    kept = []
    for source, photo in of_kind(boxes, "background"):
        assert (photo.mask[IN_BOX] == 255).all() and (photo.mask[BEYOND] == 0).all()
        kept.append(left(source, photo, IN_BOX) / left(source, photo, BEYOND))
    assert np.median(kept) < 0.6


def test_sharp_and_blurred_are_so_throughout(boxes) -> None:
    assert all((photo.mask == 0).all() for _, photo in of_kind(boxes, "sharp"))
    assert all((photo.mask == 255).all() for _, photo in of_kind(boxes, "blurred"))


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a camera that adds no noise, and a sensor that does not clip."""
    camera = Camera(shot=0, read=0, contrast=0, sharpening=0, quality=100)
    monkeypatch.setattr(composite, "_camera", lambda rng, grain: camera)
    monkeypatch.setattr(composite, "_highlights", lambda rng, light: light)


def test_what_is_in_focus_stays_as_it_was(found, clean) -> None:
    sources, shapes = found
    source = sources["crops/2007_000001_1"]
    light = to_linear(images.load(source.image))
    everywhere = np.ones((SIDE, SIDE), bool)
    focus = {"object": IN_BOX, "background": BEYOND, "sharp": everywhere}
    seen = Counter()
    for seed in range(24):
        photo = render_composite(source, shapes, seed)
        if photo.kind not in focus:
            continue
        seen[photo.kind] += 1
        where, now = focus[photo.kind], to_linear(photo.image)
        errors = []
        for before in (light, light[:, ::-1]):  # it may be mirrored
            gain = np.median((now / before)[where])
            errors.append(np.abs(to_srgb(now / gain) - to_srgb(before))[where].mean() * 255)
        assert min(errors) < 3.5  # colour is stored at half the resolution
    assert min(seen[kind] for kind in focus) > 0


def test_a_blurred_background_holds_no_light_of_the_object(found, clean) -> None:
    """Check that red glows beyond a red object's outline where the whole photo is blurred, but not behind it."""
    sources, shapes = found
    source, ring = sources["crops/2007_000001_1"], np.zeros((SIDE, SIDE), bool)
    ring[42:138, 32:128] = True
    ring[46:134, 36:124] = False
    checked = 0
    for seed in range(40):
        photo = render_composite(source, shapes, seed)
        if photo.kind == "object" and (photo.mask[ring] == 255).all() and photo.coc[ring].min() > 4:
            red, green = photo.image[ring].astype(float).mean(0)[:2]
            assert red < 0.75 * green
            checked += 1
    assert checked


def test_kinds_come_in_their_shares(found, boxes) -> None:
    assert sum(KINDS.values()) == pytest.approx(1)
    sources, shapes = found
    wide = [render_composite(sources["wide/IMG_0"], shapes, seed, 64).kind for seed in range(250)]
    assert set(wide) >= set(KINDS) - {"object", "background"}
    drawn, able = Counter(photo.kind for _, photo in boxes), 1 - KINDS["segments"]
    assert set(drawn) == set(KINDS) - {"segments"}
    for kind in drawn:
        assert drawn[kind] / len(boxes) == pytest.approx(KINDS[kind] / able, abs=0.12)


def test_a_photo_without_objects_or_shapes_is_rendered(found) -> None:
    sources, shapes = found
    plain = sources["plain/alone"]
    assert {render_composite(plain, shapes, s).kind for s in range(30)} == {"shape", "ramp", "sharp", "blurred"}
    assert {render_composite(plain, [], s).kind for s in range(30)} == {"ramp", "sharp", "blurred"}


def test_shapes_of_one_value_do_no_harm(found, tmp_path: Path) -> None:
    plain = found[0]["plain/alone"]
    for value in (0, 255):
        shape = write(tmp_path / f"{value}.png", np.full((50, 70), value, np.uint8))
        photos = [render_composite(plain, [shape], seed, 64) for seed in range(12)]
        assert any(photo.kind == "shape" for photo in photos)


def test_a_mask_of_another_size_is_refused(found, tmp_path: Path) -> None:
    source = found[0]["plain/alone"]
    mask = write(tmp_path / "mask.png", np.zeros((50, 60), np.uint8))
    with pytest.raises(DataError, match=r"mask\.png: differs in size"):
        render_composite(Sharp(source.id, source.group, source.image, mask), [], 0)


@pytest.mark.parametrize(("seed", "size"), [(-1, 320), (0, 16)])
def test_what_cannot_be_rendered_is_refused(found, seed: int, size: int) -> None:
    with pytest.raises(ValueError, match="The seed must be"):
        render_composite(found[0]["plain/alone"], [], seed, size)


@pytest.mark.skipif(not (SHARED / "sharp").is_dir(), reason=f"{SHARED / 'sharp'}: no real photographs here")
def test_real_photographs() -> None:
    sources, shapes = find_sharp(SHARED)
    sharp = [source for source in sources[:: len(sources) // 20] if is_sharp(images.load(source.image))]
    for seed, source in enumerate(sharp[:12]):
        photo = render_composite(source, shapes, seed)
        assert photo.image.shape[0] == photo.image.shape[1] >= 200
        assert photo.image.std() > 5
