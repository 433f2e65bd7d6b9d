"""The procedural scenes: reproducible, varied, honest about what is in focus."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest

from r2mrf.rendering.lens import DOUBT_COC, FOCUS_COC, Layer, defocused
from r2mrf.rendering.photograph import (
    RenderedPhoto,
    clear_coc,
    depth_between,
    draw_camera,
    draw_kind,
    draw_span,
    extremes,
    normal_lens,
)
from r2mrf.rendering.scenes import KINDS, render_scene

SIZE = 128


@pytest.fixture(scope="module")
def photos() -> list[RenderedPhoto]:
    return [render_scene(seed, SIZE) for seed in range(60)]


def test_same_seed_same_bytes_whatever_the_threads() -> None:
    threads = cv2.getNumThreads()
    first = render_scene(7)
    try:
        cv2.setNumThreads(1)
        again = render_scene(7)
    finally:
        cv2.setNumThreads(threads)
    assert first.jpeg == again.jpeg and first.kind == again.kind
    assert (first.image == again.image).all() and (first.mask == again.mask).all()
    assert (first.coc == again.coc).all()


def test_seeds_differ(photos: list[RenderedPhoto]) -> None:
    assert len({photo.jpeg for photo in photos}) == len(photos)


def test_what_a_photo_is(photos: list[RenderedPhoto]) -> None:
    for photo in photos:
        assert photo.image.shape == (SIZE, SIZE, 3) and photo.image.dtype == np.uint8
        assert photo.mask.shape == (SIZE, SIZE) and photo.mask.dtype == np.uint8
        assert photo.coc.shape == (SIZE, SIZE) and photo.coc.dtype == np.float32
        assert np.isfinite(photo.coc).all() and (photo.coc >= 0).all()
        decoded = cv2.imdecode(np.frombuffer(photo.jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
        assert (decoded == photo.image).all()
    assert render_scene(0).image.shape == (320, 320, 3)


def test_mask_follows_the_circle_of_confusion(photos: list[RenderedPhoto]) -> None:
    for photo in photos:
        assert (photo.coc[photo.mask == 0] <= FOCUS_COC + 0.01).all()
        assert (photo.coc[photo.mask == 255] >= FOCUS_COC + DOUBT_COC - 0.01).all()


def test_sharp_and_blurred_are_so_throughout(photos: list[RenderedPhoto]) -> None:
    for photo in photos:
        if photo.kind == "sharp":
            assert (photo.mask == 0).all()
        if photo.kind == "blurred":
            assert (photo.mask == 255).all()
    assert {"sharp", "blurred"} <= {photo.kind for photo in photos}


def test_kinds_come_in_their_shares() -> None:
    assert sum(KINDS.values()) == pytest.approx(1)
    drawn = Counter(draw_kind(np.random.default_rng(seed), KINDS) for seed in range(4000))
    assert set(drawn) == set(KINDS)
    for kind, share in KINDS.items():
        assert drawn[kind] / 4000 == pytest.approx(share, abs=0.03)


def test_a_photo_is_of_the_kind_its_seed_draws(photos: list[RenderedPhoto]) -> None:
    for seed, photo in enumerate(photos):
        assert photo.kind == draw_kind(np.random.default_rng(seed), KINDS)


def test_both_labels_are_common_and_doubt_is_narrow(photos: list[RenderedPhoto]) -> None:
    mask = np.stack([photo.mask for photo in photos])
    assert 0.3 < (mask == 255).mean() < 0.7
    assert 0.3 < (mask == 0).mean() < 0.7
    assert ((mask > 0) & (mask < 255)).mean() < 0.12


def test_defocus_takes_detail_away(photos: list[RenderedPhoto]) -> None:
    def detail(kind: str) -> float:
        images = [p.image for p in photos if p.kind == kind]
        return float(np.median([np.abs(cv2.Laplacian(i, cv2.CV_32F)).mean() for i in images]))

    assert detail("sharp") > 1.5 * detail("blurred")


@pytest.mark.parametrize(("seed", "size"), [(-1, 320), (0, 16)])
def test_what_cannot_be_rendered_is_refused(seed: int, size: int) -> None:
    with pytest.raises(ValueError, match="The seed must be"):
        render_scene(seed, size)


# What `composite` draws with, too.


def test_the_circle_of_confusion_is_linear_between_depths() -> None:
    depth = depth_between(np.linspace(0, 1, 11), 1.5, 6.0)
    assert depth[[0, -1]] == pytest.approx([1.5, 6.0])
    steps = np.diff(normal_lens(2.0, SIZE).circle_of_confusion(depth))
    assert steps == pytest.approx(np.full(10, steps[0]), rel=1e-4)


def test_a_clear_circle_of_confusion_is_beyond_doubt() -> None:
    for ratio in (1.0, 3.7):
        assert defocused(clear_coc(ratio) / ratio) == 1
        assert defocused(clear_coc(ratio) / ratio * 0.95) < 1  # and not much more


def test_what_is_drawn_keeps_its_bounds() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        near, far = draw_span(rng)
        assert 0.8 <= near <= 3 and 1.6 * near <= far <= 8 * near
        camera = draw_camera(rng, contrast=0.1, sharpening=0.2, shot=1e-3)
        assert 0 <= camera.contrast <= 0.1 and 0 <= camera.sharpening <= 0.2 and camera.shot >= 1e-3
    running = Layer(np.zeros((2, 2, 3), np.float32), depth=np.array([[2.0, 3.0], [4.0, 9.0]]))
    assert extremes([running, Layer(running.colour, depth=1.0)]) == (1.0, 9.0)
