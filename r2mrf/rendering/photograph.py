"""What procedural scenes and rendered photographs share: kinds, depths, lens, camera, the photo itself."""

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
class Photo:
    """A rendered photograph and what is known of it."""

    image: np.ndarray  # uint8 H×W×3, sRGB
    mask: np.ndarray  # uint8 H×W, 255 = defocused, 0 = in focus, between = doubt
    coc: np.ndarray  # float32 H×W, radius of the visible surface's circle of confusion, pixels
    kind: str  # one of `scenes.KINDS`, or of `composite.KINDS`
    jpeg: bytes  # the camera's file; `image` is its decoded pixels


def check_seed_and_size(seed: int, size: int) -> None:
    """Refuse what cannot be rendered.

    Raises:
        ValueError: the seed is below 0, or the size below 32 pixels.
    """
    if seed < 0 or size < 32:
        raise ValueError(f"Give a seed of 0 or more and a size of 32 or more, not {seed} and {size}.")


def draw_kind(rng: np.random.Generator, shares: dict[str, float]) -> str:
    """A kind, by its share of the sum of shares."""
    return str(rng.choice(list(shares), p=np.array(list(shares.values())) / sum(shares.values())))


def draw_span(rng: np.random.Generator) -> tuple[float, float]:
    """Depths (near, far) that a scene spans, in metres."""
    near = log_uniform(rng, 0.8, 3)
    return near, near * log_uniform(rng, 1.6, 8)


def depth_between(share: float | np.ndarray, near: float, far: float) -> float | np.ndarray:
    """Depth at a share of the way from `near` to `far` on which 1/depth, hence the circle of confusion, is linear."""
    return 1 / ((1 - share) / near + share / far)


def extremes(layers: list[Layer]) -> tuple[float, float]:
    """Depths (near, far) of what is nearest and farthest, in metres."""
    return min(float(np.min(layer.depth)) for layer in layers), max(float(np.max(layer.depth)) for layer in layers)


def normal_lens(focus: float, side: int) -> Lens:
    """A 50 mm lens before a sensor 36 mm wide, `side` pixels, focused at `focus` metres; to be opened as wanted."""
    return Lens(focal=50, f_number=1, focus=focus, pixels_per_mm=side / 36)


def clear_coc(ratio: float = 1.0) -> float:
    """Radius in pixels at which a circle of confusion `ratio` times smaller is beyond doubt defocused."""
    return ratio * 1.02 * (FOCUS_COC + DOUBT_COC)  # 2 % to spare


def draw_camera(rng: np.random.Generator, contrast: float, sharpening: float, shot: float = 0.0) -> Camera:
    """A camera of at most that contrast and sharpening, and of at least that shot noise."""
    return Camera(
        shot=max(shot, log_uniform(rng, 3e-5, 2e-3)),
        read=log_uniform(rng, 3e-4, 6e-3),
        contrast=rng.uniform(0, contrast),
        sharpening=max(0.0, rng.uniform(-0.3, sharpening)),  # one in four or so sharpens nothing
        quality=int(rng.integers(70, 99)),
    )


def develop(rng: np.random.Generator, exposure: Exposure, gain: float, camera: Camera, kind: str) -> Photo:
    """The photo that the camera makes of an exposure, its light times `gain`."""
    image, jpeg = camera.develop(exposure.light * np.float32(gain), rng)
    return Photo(image, np.rint(exposure.defocus * 255).astype(np.uint8), exposure.coc, kind, jpeg)
