"""A lens rendered in linear light: circles of confusion, aperture, occlusion.

    lens = Lens(focal=50, f_number=2, focus=2, pixels_per_mm=320 / 36)
    exposure = expose([Layer(far_wall, depth=4), Layer(person, alpha, depth=2)], lens)
    image, jpeg = Camera().develop(exposure.light, np.random.default_rng(0))

Everywhere, the amount of defocus is the *radius* of the circle of confusion in pixels of the picture.
Light is float32 H×W×3, linear RGB; 1 = what the sensor can hold.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

FOCUS_COC = 0.7  # pixels: a circle of confusion up to this radius counts as in focus,
DOUBT_COC = 0.5  # and as defocused from this much beyond; between the two nobody can tell

_SAMPLES = 8  # sub-samples a pixel and axis that a kernel is averaged from
_COPIES = 12  # of a surface, each blurred by one radius, are blended at most where its depth runs
_VEIL = (0.35, 0.65)  # coverage of a layer from which it hides, and at which it has replaced, what is behind

Aperture = Callable[[float], np.ndarray]  # radius in pixels -> kernel


@dataclass(frozen=True)
class Lens:
    """An ideal thin lens before a sensor.

    `focal` length in mm, `f_number` = focal length / aperture diameter, `focus` = distance of the plane in
    focus in metres (may be infinite), `pixels_per_mm` = image width in pixels / sensor width in mm.
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
        """Radius of the circle of confusion in pixels, float32; > 0 behind the plane in focus, < 0 before it.

        `depth` in metres from the lens, above 0, may be infinite. With A = focal / f_number, s = focus and
        d = depth, the diameter on the sensor is A f (1/s - 1/d) / (1 - f/s): similar triangles and the
        thin-lens equation (Potmesil and Chakravarty 1981, "A lens and aperture camera model").
        """
        depth = np.asarray(depth, np.float64)
        if not (depth > 0).all():
            raise ValueError("Depth is a distance from the lens: give metres above 0.")
        focal, focus = self.focal / 1000, self.focus
        diameter = focal / self.f_number * focal * (1 / focus - 1 / depth) / (1 - focal / focus)
        return (diameter * 1000 / 2 * self.pixels_per_mm).astype(np.float32)

    def opened(self, radius: float, depth: float) -> Lens:
        """Return this lens at the f-number that gives the circle of confusion at `depth` this radius in pixels."""
        now = abs(float(self.circle_of_confusion(depth)))
        if now == 0 or radius <= 0:
            raise ValueError("Only a depth out of focus can be given a radius, and only one above 0.")
        return dataclasses.replace(self, f_number=self.f_number * now / radius)


def disc(radius: float, rim: float = 0.0) -> np.ndarray:
    """Kernel of a round aperture; `rim` = extra light at its edge, 0 to about 1 (an over-corrected lens)."""
    return _kernel(radius, rim, lambda x, y: x * x + y * y <= 1)


def polygon(radius: float, blades: int, rotation: float = 0.0, rim: float = 0.0) -> np.ndarray:
    """Kernel of an aperture of 3 or more straight blades, its corners at `radius`; rotation in radians."""
    if blades < 3:
        raise ValueError(f"A polygon has 3 blades or more, not {blades}: use disc for a round aperture.")

    def is_open(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        angle = np.mod(np.arctan2(y, x) - rotation, 2 * np.pi / blades) - np.pi / blades
        return np.hypot(x, y) * np.cos(angle) <= np.cos(np.pi / blades)

    return _kernel(radius, rim, is_open)


def cats_eye(radius: float, shift: tuple[float, float], rim: float = 0.0) -> np.ndarray:
    """Kernel of a round aperture cut by the lens barrel: a disc and its copy shifted by (x, y) in radii.

    The shift, shorter than 2, grows with the distance from the optical axis (mechanical vignetting): one
    kernel serves a picture cropped from one side of a frame.
    """
    right, down = shift
    return _kernel(radius, rim, lambda x, y: np.maximum(x**2 + y**2, (x - right) ** 2 + (y - down) ** 2) <= 1)


def _kernel(radius: float, rim: float, is_open: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Square float32 kernel of odd side and sum 1: where the unit disc is open, averaged over each pixel."""
    if not 0 <= radius < np.inf:
        raise ValueError(f"A circle of confusion has a radius of 0 or more pixels, not {radius}.")
    if radius < 0.5:  # it lies within its pixel
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
    """Blur float32 H×W×C by circles of confusion of `radius` pixels, one number or H×W.

    Where the radius varies, each pixel is blended from the two of up to 12 blurred copies whose radii are
    next to its own (spaced evenly in log(1 + 2 r)).
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
    """Convolve a part of `light` with `kernel`; the frame's edge mirrors, so that no light is lost."""
    if kernel.size == 1:
        return light[part]
    rows, columns = (range(side)[cut] for side, cut in zip(light.shape[:2], part, strict=True))
    reach = kernel.shape[0] // 2
    top, left = max(0, rows.start - reach), max(0, columns.start - reach)
    window = np.ascontiguousarray(light[top : rows.stop + reach, left : columns.stop + reach])
    # It correlates, hence the half turn, and goes over to Fourier transforms by itself for large kernels.
    blurred = cv2.filter2D(window, -1, kernel[::-1, ::-1].copy(), borderType=cv2.BORDER_REFLECT)
    blurred = blurred.reshape(window.shape)  # it drops a lone channel
    return blurred[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


@dataclass(frozen=True)
class Layer:
    """A surface of the scene, all-in-focus.

    `colour` float32 H×W×3, linear, goes on under the layers before it: their blurred edges show it. `alpha`
    float32 H×W, coverage 0 to 1, None = the whole frame. `depth` metres, H×W where it runs (ground, walls).
    """

    colour: np.ndarray
    alpha: np.ndarray | None = None
    depth: float | np.ndarray = np.inf


@dataclass(frozen=True)
class Exposure:
    """The light on the sensor and the truth about its defocus; all float32.

    Attributes:
        light: H×W×3, linear RGB.
        coc: H×W, radius in pixels of the visible surface's circle of confusion.
        defocus: H×W, 0 = in focus, 1 = defocused, between = doubt.
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

    Each layer's premultiplied colour and its alpha are blurred by its own circles of confusion and laid over
    what is behind (Porter and Duff 1984). A pixel is a layer's if it covers more than half of it, with doubt
    in a band about that. ValueError if the first layer does not cover the frame.
    """
    if not layers or layers[0].alpha is not None:
        raise ValueError("The first layer is the farthest and covers the frame: give it no alpha.")
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
    """Return float32 defocus: 0 up to a radius of `focus_coc` pixels, 1 from `focus_coc + doubt` on, linear between."""
    if focus_coc < 0 or doubt <= 0:
        raise ValueError("focus_coc is a radius of 0 or more pixels, and doubt a band wider than 0.")
    return np.clip((np.asarray(radius, np.float32) - focus_coc) / doubt, 0, 1).astype(np.float32)
