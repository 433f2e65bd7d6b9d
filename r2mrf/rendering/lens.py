"""Renders a lens in linear light: circles of confusion, aperture, occlusion.

    lens = Lens(focal=50, f_number=2, focus=2, pixels_per_mm=320 / 36)
    exposure = expose([Layer(far_wall, depth=4), Layer(person, alpha, depth=2)], lens)
    image, jpeg = Camera().develop(exposure.light, np.random.default_rng(0))

The amount of defocus is always given as the *radius* of the circle of confusion, in pixels of the picture.
Light is float32 H×W×3, linear RGB; 1 = the most that the sensor can hold.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

FOCUS_COC = 0.7  # pixels: up to this radius, a circle of confusion counts as in focus
DOUBT_COC = 0.5  # pixels: width of the doubtful range above FOCUS_COC; beyond it, the circle counts as defocused

_SAMPLES = 8  # sub-samples per pixel and axis from which a kernel is averaged
_COPIES = 12  # most copies, each blurred by one radius, that are blended where the depth of a surface varies
_VEIL = (0.35, 0.65)  # coverage from which a layer begins to hide what is behind it, and at which it hides it fully

Aperture = Callable[[float], np.ndarray]  # radius in pixels -> kernel


@dataclass(frozen=True)
class Lens:
    """An ideal thin lens in front of a sensor.

    `focal`: focal length in mm; `f_number`: focal length / aperture diameter; `focus`: distance of the plane in focus
    in metres (may be infinite); `pixels_per_mm`: image width in pixels / sensor width in mm.
    """

    focal: float
    f_number: float
    focus: float
    pixels_per_mm: float

    def __post_init__(self) -> None:
        if min(self.focal, self.f_number, self.pixels_per_mm) <= 0:
            raise ValueError("A lens needs a focal length, f-number and pixels_per_mm above 0.")
        if self.focus * 1000 <= self.focal:
            raise ValueError(f"A {self.focal:g} mm lens cannot focus at {self.focus:g} m: focus farther.")

    def circle_of_confusion(self, depth: float | np.ndarray) -> np.ndarray:
        """Return the radius of the circle of confusion in pixels, float32: > 0 behind the plane in focus, < 0 before.

        `depth` is in metres from the lens, above 0, and may be infinite. With A = focal / f_number, s = focus and d =
        depth, the diameter on the sensor is A f (1/s - 1/d) / (1 - f/s), from similar triangles and the thin-lens
        equation (Potmesil and Chakravarty 1981, "A lens and aperture camera model").
        """
        depth = np.asarray(depth, np.float64)
        if not (depth > 0).all():
            raise ValueError("Depth is a distance from the lens: give metres above 0.")
        focal, focus = self.focal / 1000, self.focus
        diameter = focal / self.f_number * focal * (1 / focus - 1 / depth) / (1 - focal / focus)
        return (diameter * 1000 / 2 * self.pixels_per_mm).astype(np.float32)

    def opened(self, radius: float, depth: float) -> Lens:
        """Return this lens with the f-number at which the circle of confusion at `depth` has this radius in pixels."""
        now = abs(float(self.circle_of_confusion(depth)))
        if now == 0 or radius <= 0:
            raise ValueError("A radius must be above 0, and the depth out of focus.")
        return dataclasses.replace(self, f_number=self.f_number * now / radius)


def disc(radius: float, rim: float = 0.0) -> np.ndarray:
    """Return the kernel of a round aperture; `rim` = extra light at its edge, 0 to about 1 (an over-corrected lens)."""
    return _kernel(radius, rim, lambda x, y: x * x + y * y <= 1)


def polygon(radius: float, blades: int, rotation: float = 0.0, rim: float = 0.0) -> np.ndarray:
    """Return the kernel of an aperture with 3 or more straight blades and corners at `radius`; rotation in radians."""
    if blades < 3:
        raise ValueError(f"A polygon has at least 3 blades, not {blades}: use disc for a round aperture.")

    def is_open(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        angle = np.mod(np.arctan2(y, x) - rotation, 2 * np.pi / blades) - np.pi / blades
        return np.hypot(x, y) * np.cos(angle) <= np.cos(np.pi / blades)

    return _kernel(radius, rim, is_open)


def cats_eye(radius: float, shift: tuple[float, float], rim: float = 0.0) -> np.ndarray:
    """Return the kernel of a round aperture that the lens barrel clips: a disc and its copy shifted by (x, y) in radii.

    The shift, shorter than 2, grows with the distance from the optical axis (mechanical vignetting). One kernel
    therefore serves a picture that is cropped from one side of a frame.
    """
    right, down = shift
    return _kernel(radius, rim, lambda x, y: np.maximum(x**2 + y**2, (x - right) ** 2 + (y - down) ** 2) <= 1)


def _kernel(radius: float, rim: float, is_open: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Return a square float32 kernel of odd side and sum 1: the open part of the unit disc, averaged per pixel."""
    if not 0 <= radius < np.inf:
        raise ValueError(f"The radius of a circle of confusion is 0 pixels or more, not {radius}.")
    if radius < 0.5:  # the circle lies within its pixel
        return np.ones((1, 1), np.float32)
    side = 2 * int(radius + 0.5) + 1
    line = ((np.arange(side * _SAMPLES) + 0.5) / _SAMPLES - side / 2) / radius
    x, y = line[None, :], line[:, None]
    light = is_open(x, y) * (1 + rim * (x * x + y * y) ** 3)
    kernel = light.reshape(side, _SAMPLES, side, _SAMPLES).sum((1, 3))
    if kernel.sum() == 0:
        raise ValueError("This aperture is too narrow to let light through: open it.")
    return (kernel / kernel.sum()).astype(np.float32)


def defocus(light: np.ndarray, radius: float | np.ndarray, aperture: Aperture = disc) -> np.ndarray:
    """Blur float32 H×W×C by circles of confusion of `radius` pixels, a number or H×W.

    If the radius varies, the picture is blurred by up to 12 radii, spaced evenly in log(1 + 2 r). Each pixel is blended
    from the two copies whose radii are closest to its own.
    """
    if np.ndim(radius) == 0 or np.ptp(radius) < 0.05:
        return _convolve(light, aperture(float(np.mean(radius))))
    position = np.log1p(2 * np.asarray(radius, np.float32))
    low, high = float(position.min()), float(position.max())
    levels = np.linspace(low, high, int(np.clip(np.ceil((high - low) / 0.2), 2, _COPIES)))
    gap = levels[1] - levels[0]
    out = np.zeros_like(light)
    for level in levels:
        weight = np.maximum(0, 1 - np.abs(position - np.float32(level)) / np.float32(gap))
        rows, columns = np.flatnonzero(weight.any(1)), np.flatnonzero(weight.any(0))
        if rows.size:
            part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            copy = _convolve(light, aperture(float(np.expm1(level) / 2)), part)
            out[part] += copy * weight[part][..., None]
    return out


def _convolve(light: np.ndarray, kernel: np.ndarray, part: tuple[slice, slice] = np.s_[:, :]) -> np.ndarray:
    """Convolve a part of `light` with `kernel`; the frame is continued by reflection, so that no light is lost."""
    if kernel.size == 1:
        return light[part]
    rows, columns = (range(side)[cut] for side, cut in zip(light.shape[:2], part, strict=True))
    reach = kernel.shape[0] // 2
    top, left = max(0, rows.start - reach), max(0, columns.start - reach)
    window = np.ascontiguousarray(light[top : rows.stop + reach, left : columns.stop + reach])
    # filter2D correlates, hence the half turn; for large kernels it switches to Fourier transforms by itself.
    blurred = cv2.filter2D(window, -1, kernel[::-1, ::-1].copy(), borderType=cv2.BORDER_REFLECT)
    blurred = blurred.reshape(window.shape)  # filter2D drops a single channel
    return blurred[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


@dataclass(frozen=True)
class Layer:
    """A surface of the scene, all in focus.

    `colour`: float32 H×W×3, linear; it continues under the layers in front of it, because their blurred edges show it.
    `alpha`: float32 H×W, coverage 0 to 1; None = the whole frame. `depth`: metres; H×W if it varies (ground, walls).
    """

    colour: np.ndarray
    alpha: np.ndarray | None = None
    depth: float | np.ndarray = np.inf


@dataclass(frozen=True)
class Exposure:
    """The light on the sensor and the ground truth of its defocus; all float32.

    Attributes:
        light: H×W×3, linear RGB.
        coc: H×W, radius of the visible surface's circle of confusion, in pixels.
        defocus: H×W, 0 = in focus, 1 = defocused, values between = doubt.
    """

    light: np.ndarray
    coc: np.ndarray
    defocus: np.ndarray


def expose(
    layers: Sequence[Layer],
    lens: Lens,
    aperture: Aperture = disc,
    focus_coc: float = FOCUS_COC,
    doubt: float = DOUBT_COC,
) -> Exposure:
    """Compose layers, back to front, as the lens sees them.

    Each layer's premultiplied colour and alpha are blurred by the layer's own circles of confusion and laid over the
    layers behind (Porter and Duff 1984). A pixel belongs to a layer that covers more than half of it; around one half
    there is a band of doubt. Raises ValueError if the first layer does not cover the whole frame.

    Two things are simplified. In front of the plane in focus a lens turns the shape of its aperture by 180°, which is
    not done here. And within one layer, light of a part in focus spreads into the blurred part beside it, even where
    the part in focus is the nearer one and should cover it.
    """
    if not layers or layers[0].alpha is not None:
        raise ValueError("The first layer is the farthest and must cover the frame: give it no alpha.")
    light = coc = blur = np.zeros((), np.float32)
    for layer in layers:
        radius = np.zeros(layer.colour.shape[:2], np.float32) + np.abs(lens.circle_of_confusion(layer.depth))
        unsharp = defocused(radius, focus_coc, doubt)
        if layer.alpha is None:
            light, coc, blur = defocus(layer.colour, radius, aperture), radius, unsharp
            continue
        alpha = layer.alpha[..., None]
        over = defocus(np.concatenate([layer.colour * alpha, alpha], axis=2), radius, aperture)
        light = over[..., :3] + (1 - over[..., 3:]) * light
        cover = np.clip((over[..., 3] - _VEIL[0]) / (_VEIL[1] - _VEIL[0]), 0, 1)
        blur = cover * unsharp + (1 - cover) * blur
        coc = np.where(over[..., 3] > 0.5, radius, coc)
    return Exposure(light, coc, blur)


def defocused(radius: np.ndarray, focus_coc: float = FOCUS_COC, doubt: float = DOUBT_COC) -> np.ndarray:
    """Return float32 defocus: 0 up to `focus_coc` pixels of radius, 1 from `focus_coc + doubt`, linear in between."""
    if focus_coc < 0 or doubt <= 0:
        raise ValueError("focus_coc must be a radius of 0 pixels or more, and doubt must be wider than 0.")
    return np.clip((np.asarray(radius, np.float32) - focus_coc) / doubt, 0, 1).astype(np.float32)
