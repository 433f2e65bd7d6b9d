"""Steps shared by procedural scenes and composites: drawing kind, depths, lens and camera; developing the photo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from r2mrf.rendering.camera import Camera
from r2mrf.rendering.lens import (
    DOUBT_COC,
    FOCUS_COC,
    Exposure,
    Layer,
    Lens,
)
from r2mrf.rendering.surfaces import log_uniform


@dataclass(frozen=True)
class RenderedPhoto:
    """A rendered photograph with its ground truth."""

    image: np.ndarray  # uint8 H×W×3, sRGB
    mask: np.ndarray  # uint8 H×W, 255 = defocused, 0 = in focus, values between = doubt
    coc: np.ndarray  # float32 H×W, radius of the visible surface's circle of confusion, pixels
    kind: str  # a key of `scenes.KINDS` or `composite.KINDS`
    jpeg: bytes  # the camera's file; `image` holds its decoded pixels


def check_seed_and_size(seed: int, size: int) -> None:
    """Refuse a seed or size that cannot be rendered.

    Raises:
        ValueError: the seed is below 0, or the size below 32 pixels.
    """
    if seed < 0 or size < 32:
        raise ValueError(f"The seed must be 0 or more and the size 32 or more, not {seed} and {size}.")


def draw_kind(rng: np.random.Generator, shares: dict[str, float]) -> str:
    """Draw a kind, with probability proportional to its share."""
    return str(rng.choice(list(shares), p=np.array(list(shares.values())) / sum(shares.values())))


def draw_span(rng: np.random.Generator) -> tuple[float, float]:
    """Draw the depths (near, far) that a scene spans, in metres."""
    near = log_uniform(rng, 0.8, 3)
    return near, near * log_uniform(rng, 1.6, 8)


def depth_between(share: float | np.ndarray, near: float, far: float) -> float | np.ndarray:
    """Interpolate between two depths, linearly in 1/depth and thus in the circle of confusion; `share` from 0 to 1."""
    return 1 / ((1 - share) / near + share / far)


def extremes(layers: list[Layer]) -> tuple[float, float]:
    """Return the smallest and the largest depth of the layers, in metres."""
    return min(float(np.min(layer.depth)) for layer in layers), max(float(np.max(layer.depth)) for layer in layers)


def normal_lens(focus: float, side: int) -> Lens:
    """Return a 50 mm lens focused at `focus` metres on a sensor 36 mm and `side` pixels wide, to be opened later."""
    return Lens(focal=50, f_number=1, focus=focus, pixels_per_mm=side / 36)


def clear_coc(ratio: float = 1.0) -> float:
    """Return the radius in pixels at which even a circle of confusion `ratio` times smaller is clearly defocused."""
    return ratio * 1.02 * (FOCUS_COC + DOUBT_COC)  # with a margin of 2 %


def draw_camera(rng: np.random.Generator, contrast: float, sharpening: float, shot: float = 0.0) -> Camera:
    """Draw a camera with at most this contrast and sharpening, and at least this shot noise."""
    return Camera(
        shot=max(shot, log_uniform(rng, 3e-5, 2e-3)),
        read=log_uniform(rng, 3e-4, 6e-3),
        contrast=rng.uniform(0, contrast),
        sharpening=max(0.0, rng.uniform(-0.3, sharpening)),  # about one in four does not sharpen
        quality=int(rng.integers(70, 99)),
    )


def develop(rng: np.random.Generator, exposure: Exposure, gain: float, camera: Camera, kind: str) -> RenderedPhoto:
    """Develop an exposure into a photo, with its light multiplied by `gain`."""
    image, jpeg = camera.develop(exposure.light * np.float32(gain), rng)
    return RenderedPhoto(image, np.rint(exposure.defocus * 255).astype(np.uint8), exposure.coc, kind, jpeg)
