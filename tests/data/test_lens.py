"""The lens's effect on a point, an edge and the total light, and the mask that it yields."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
import pytest

from r2mrf.rendering.camera import Camera, to_linear, to_srgb
from r2mrf.rendering.lens import DOUBT_COC, FOCUS_COC, Layer, Lens, cats_eye, defocus, defocused, disc, expose, polygon

# Focused at 2 m; 50 mm f/2 on a 36 mm wide sensor of 320 pixels.
LENS = Lens(focal=50, f_number=2, focus=2, pixels_per_mm=320 / 36)
APERTURES = {
    "disc": disc,
    "bright rim": partial(disc, rim=0.8),
    "pentagon": partial(polygon, blades=5, rotation=0.3),
    "hexagon with rim": partial(polygon, blades=6, rim=0.5),
    "cat's eye": partial(cats_eye, shift=(0.5, -0.3)),
}


def flat(value: float, size: int = 64) -> np.ndarray:
    return np.full((size, size, 3), value, np.float32)


def left_half(size: int = 64) -> np.ndarray:
    alpha = np.zeros((size, size), np.float32)
    alpha[:, : size // 2] = 1
    return alpha


def moment(kernel: np.ndarray) -> float:
    """Return the mean square distance from the centre."""
    line = np.arange(kernel.shape[0]) - kernel.shape[0] // 2
    return float((kernel * (line[:, None] ** 2 + line[None, :] ** 2)).sum())


def test_circle_of_confusion_worked_by_hand() -> None:
    # A = 25 mm; 25 * 50 * (4000 - 2000) / (4000 * (2000 - 50)) = 0.320513 mm across; * 320 / 36 / 2.
    assert LENS.circle_of_confusion(4.0) == pytest.approx(1.42450, abs=1e-4)
    assert LENS.circle_of_confusion(2.0) == pytest.approx(0, abs=1e-6)
    # Far away: 25 * 50 / 1950 = 0.641026 mm. At half the distance: the same, before the plane in focus.
    assert LENS.circle_of_confusion(np.inf) == pytest.approx(2.84900, abs=1e-4)
    assert LENS.circle_of_confusion(1.0) == pytest.approx(-2.84900, abs=1e-4)


def test_lens_at_infinity_and_opened() -> None:
    far = Lens(focal=50, f_number=2, focus=np.inf, pixels_per_mm=1)
    assert far.circle_of_confusion(np.inf) == 0
    assert far.circle_of_confusion(10.0) == pytest.approx(-0.0625)  # 25 * 50 / 10000 / 2
    assert LENS.opened(6.0, 4.0).circle_of_confusion(4.0) == pytest.approx(6, abs=1e-4)
    assert LENS.opened(6.0, 4.0).focus == LENS.focus


@pytest.mark.parametrize("radius", [0, 0.3, 0.5, 0.8, 1.2, 2.5, 7.3, 20])
@pytest.mark.parametrize("name", APERTURES)
def test_kernels_hold_all_light_and_no_less_than_none(name: str, radius: float) -> None:
    kernel = APERTURES[name](radius)
    assert kernel.dtype == np.float32
    assert kernel.shape[0] == kernel.shape[1] and kernel.shape[0] % 2 == 1
    assert (kernel >= 0).all()
    assert kernel.sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("radius", [1.5, 3.0, 4.7, 9.0])
def test_a_point_of_light_becomes_a_disc_of_the_radius(radius: float) -> None:
    point = np.zeros((41, 41, 1), np.float32)
    point[20, 20] = 1
    image = defocus(point, radius)[..., 0]
    # A disc's mean square distance is r²/2; pixels, being squares, add about 1/6.
    assert moment(image) == pytest.approx(radius**2 / 2 + 1 / 6, abs=0.2)
    y, x = np.indices(image.shape) - 20
    distance = np.hypot(x, y)
    lit = image > 1e-6
    assert distance[lit].max() <= radius + 0.75
    inside = image[distance < radius - 0.75]
    assert inside == pytest.approx(1 / (np.pi * radius**2), rel=0.03)


def test_a_small_circle_of_confusion_changes_nothing() -> None:
    image = np.random.default_rng(0).random((9, 9, 3), np.float32)
    assert (defocus(image, 0.3) == image).all()
    assert disc(0.8)[1, 1] > 0.5 - 0.03  # most of it stays in its pixel: 1 / (pi * 0.64) = 0.497


def test_areas_of_apertures() -> None:
    def area(kernel: np.ndarray) -> float:
        return float(1 / kernel.max())  # of a uniform kernel whose middle is full

    circle = np.pi * 15**2
    assert area(disc(15)) == pytest.approx(circle, rel=0.01)
    assert area(polygon(15, 6)) == pytest.approx(15**2 * 1.5 * np.sqrt(3), rel=0.01)
    assert area(polygon(15, 4)) == pytest.approx(2 * 15**2, rel=0.01)
    # Two discs a radius apart share 2 acos(1/2) - sqrt(3)/2 radii squared.
    assert area(cats_eye(15, (1.0, 0.0))) == pytest.approx(15**2 * (2 * np.pi / 3 - np.sqrt(3) / 2), rel=0.02)
    assert cats_eye(15, (0.0, 0.0)) == pytest.approx(disc(15))


def test_cats_eye_lies_on_the_side_it_is_shifted_to_and_rim_is_bright() -> None:
    eye = cats_eye(9, (0.8, 0.0))
    assert eye[:, 9:].sum() > 0.8
    rimmed = disc(9, rim=1.0)
    assert rimmed[9, 17] > 1.4 * rimmed[9, 9]


def test_kernel_is_not_mirrored() -> None:
    point = np.zeros((31, 31, 3), np.float32)
    point[15, 15] = 1
    kernel = polygon(6, 3, rotation=0.2)
    reach = kernel.shape[0] // 2
    image = defocus(point, 6, partial(polygon, blades=3, rotation=0.2))
    assert image[15 - reach : 16 + reach, 15 - reach : 16 + reach, 0] == pytest.approx(kernel, abs=1e-6)


@pytest.mark.parametrize("radius", [1.2, 5.0, 14.0])
def test_light_as_a_whole_is_kept(radius: float) -> None:
    image = np.random.default_rng(1).random((60, 80, 3), np.float32)
    image[30, 40] = 50  # a lamp
    assert defocus(image, radius).sum() == pytest.approx(image.sum(), rel=1e-4)


def test_running_depth_equals_the_kernel_of_each_place() -> None:
    rng = np.random.default_rng(2)
    image = cv2.GaussianBlur(rng.random((64, 320, 3), np.float32), (0, 0), 1.5)
    radius = np.linspace(0, 6, 320, dtype=np.float32)[None, :].repeat(64, 0)
    ramp = defocus(image, radius)
    for column in (20, 150, 300):
        exact = defocus(image, float(radius[0, column]))
        assert np.abs(ramp[:, column] - exact[:, column]).mean() < 0.15 * image.std()
    steps = np.where(left_half() > 0, 0, 9).astype(np.float32)  # no pixel between the two
    assert defocus(flat(0.4), steps) == pytest.approx(flat(0.4), abs=1e-5)
    assert defocus(flat(0.4), radius[:, :64]) == pytest.approx(flat(0.4), abs=1e-5)


def test_sharp_front_keeps_its_edge_without_a_halo() -> None:
    lens = LENS.opened(6.0, 8.0)
    back = flat(0.1)
    back[:, 32:] = 0.9  # goes on, differently, under the front
    exposure = expose([Layer(back, depth=8.0), Layer(flat(0.5), left_half(), 2.0)], lens)
    assert exposure.light[:, :32] == pytest.approx(flat(0.5)[:, :32], abs=1e-6)
    # Beside the edge there is the background alone, blurred: at its own edge the mean of its two sides.
    alone = defocus(back, 6.0)
    assert exposure.light[:, 32:] == pytest.approx(alone[:, 32:], abs=1e-4)
    assert (exposure.defocus[:, :32] == 0).all() and (exposure.defocus[:, 32:] == 1).all()


def test_blurred_front_spreads_over_a_sharp_back_by_its_radius() -> None:
    lens = Lens(50, 2, 8, 320 / 36).opened(6.0, 2.0)
    rng = np.random.default_rng(3)
    back = rng.random((64, 64, 3), np.float32)
    exposure = expose([Layer(back, depth=8.0), Layer(flat(5.0), left_half(), 2.0)], lens)
    veil = np.abs(exposure.light - back).max((0, 2)) > 1e-3
    assert np.flatnonzero(veil).max() in (36, 37, 38)  # the edge lies at 32, the radius is 6
    assert exposure.light[:, :25] == pytest.approx(flat(5.0)[:, :25], abs=1e-4)  # nothing shines through
    # Half covered at the edge itself: defocused inside, in focus outside, doubt about it.
    line = exposure.defocus[32]
    assert (line[:29] == 1).all() and (line[35:] == 0).all()
    assert 0 < line[31] < 1 and 0 < line[32] < 1
    assert (np.diff(line) <= 0).all()
    assert exposure.coc[32, 20] == pytest.approx(6, abs=1e-3) and exposure.coc[32, 50] == 0


def test_mask_follows_the_circle_of_confusion() -> None:
    depth = 1 / np.linspace(1 / 1.2, 1 / 9, 200, dtype=np.float32)[None, :].repeat(8, 0)
    exposure = expose([Layer(np.zeros((8, 200, 3), np.float32), depth=depth)], LENS, focus_coc=0.8, doubt=0.4)
    radius = np.abs(LENS.circle_of_confusion(depth))
    assert exposure.coc == pytest.approx(radius)
    assert (exposure.defocus[radius <= 0.8] == 0).all()
    assert (exposure.defocus[radius >= 1.21] == 1).all()
    between = exposure.defocus[(radius > 0.81) & (radius < 1.19)]
    assert between.size and ((between > 0) & (between < 1)).all()
    assert defocused(np.array([FOCUS_COC, FOCUS_COC + DOUBT_COC / 2, 99.0])) == pytest.approx([0, 0.5, 1])


def test_srgb_there_and_back() -> None:
    codes = np.arange(256, dtype=np.uint8)
    assert (np.rint(to_srgb(to_linear(codes)) * 255) == codes).all()
    assert to_linear(np.uint8([188]))[0] == pytest.approx(0.5029, abs=1e-3)


def test_noise_grows_with_light_as_stated() -> None:
    camera = Camera(shot=1e-3, read=2e-3, contrast=0, sharpening=0, quality=100)
    for level in (0.1, 0.4):
        image, _ = camera.develop(np.full((128, 128, 3), level, np.float32), np.random.default_rng(4))
        grey = to_linear(image)[..., 1]
        assert grey.mean() == pytest.approx(level, rel=0.02)
        assert grey.std() == pytest.approx(np.sqrt(1e-3 * level + 4e-6), rel=0.35)  # JPEG takes and adds a little


def test_develop_returns_its_own_jpeg_and_needs_its_generator_only() -> None:
    light = np.random.default_rng(5).random((40, 50, 3), np.float32)
    image, jpeg = Camera().develop(light, np.random.default_rng(6))
    again, same = Camera().develop(light, np.random.default_rng(6))
    assert image.dtype == np.uint8 and image.shape == (40, 50, 3)
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert (image == decoded).all() and (image == again).all() and jpeg == same
    assert jpeg != Camera().develop(light, np.random.default_rng(7))[1]


def test_sharpening_and_contrast_do_what_they_say() -> None:
    edge = flat(0.1)
    edge[:, 32:] = 0.5
    plain, sharp = (
        Camera(shot=0, read=0, contrast=0, sharpening=amount, quality=100).develop(edge, np.random.default_rng(8))[0]
        for amount in (0.0, 0.8)
    )
    assert np.ptp(sharp[32].astype(int)) > np.ptp(plain[32].astype(int)) + 10
    curved = Camera(shot=0, read=0, contrast=0.5, sharpening=0, quality=100).develop(edge, np.random.default_rng(8))[0]
    assert curved[32, 5, 1] < plain[32, 5, 1] and curved[32, 60, 1] > plain[32, 60, 1]


@pytest.mark.parametrize(
    "call",
    [
        lambda: Lens(50, 2, 0.04, 9),
        lambda: Lens(50, 0, 2, 9),
        lambda: LENS.circle_of_confusion(0.0),
        lambda: LENS.opened(3, 2.0),
        lambda: disc(-1),
        lambda: polygon(3, 2),
        lambda: cats_eye(9, (2.0, 0.0)),
        lambda: expose([], LENS),
        lambda: expose([Layer(flat(0.5), left_half(), 2.0)], LENS),
        lambda: defocused(np.zeros(3), doubt=0),
    ],
)
def test_what_cannot_be_is_refused_with_advice(call) -> None:
    with pytest.raises(ValueError, match=r"[a-z].*[.:]"):
        call()
