"""Rephotographs sharp photographs through a rendered lens: the training data of `data.source: composite`.

    sources, shapes = find_sharp(Path("data/sharp_photos"))
    photo = render_composite(sources[0], shapes, seed=0)

A photo is divided into layers by its main objects, by its segments, or by the typical shape of a region in focus,
whichever is known of it. The lens of `lens` is then focused on one of the layers.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np

from r2mrf.errors import DataError
from r2mrf.imaging import images
from r2mrf.imaging.resize import resize
from r2mrf.rendering.camera import Camera, to_linear
from r2mrf.rendering.lens import Aperture, Layer, Lens, disc, expose, polygon
from r2mrf.rendering.matting import cut_layers, fit_mask
from r2mrf.rendering.photograph import (
    RenderedPhoto,
    check_seed_and_size,
    clear_coc,
    depth_between,
    develop,
    draw_camera,
    draw_kind,
    draw_span,
    extremes,
    normal_lens,
)
from r2mrf.rendering.sharp_photos import Sharp, digest, grain
from r2mrf.rendering.surfaces import log_uniform

KINDS: dict[str, float] = {  # share of each kind, among those that a photo can be rendered as
    "object": 0.30,  # main object in focus, background blurred; half of these backgrounds are a ground that reaches it
    "background": 0.22,  # background in focus, main object in front of it blurred
    "segments": 0.12,  # two or three depths, one of them in focus
    "shape": 0.10,  # a region with the typical shape is in focus; depth changes at its edge in a step or gradually
    "ramp": 0.10,  # depth changes gradually, and a band of it is in focus
    "sharp": 0.08,  # all in focus
    "blurred": 0.08,  # nothing in focus
}

# Radii of the strongest defocus where depth changes gradually and nothing stands in front, as objects do in `scenes`.
# With smaller radii, most of the picture would be doubtful.
_BLUR_RUNNING = (2.5, 20.0)
_BLUR = (1.2, 20.0)  # wider than in `scenes`, because backgrounds of close-ups show no detail at all
_OBJECT = (0.03, 0.8)  # smallest and largest share of the picture that an object covers


def render_composite(source: Sharp, shapes: list[Path], seed: int, size: int = 320) -> RenderedPhoto:
    """Render a sharp photo as a square with a shallower depth of field.

    The square's side is `size` or the photo's shortest side, whichever is smaller, because an enlarged sharp photo is
    no longer sharp. The same source, shapes, seed and size give the same bytes.

    Raises:
        ImageError: a file of the source cannot be read.
        DataError: a mask does not have its photo's size.
        ValueError: the seed is below 0, or the size below 32.
    """
    check_seed_and_size(seed, size)
    rng = np.random.default_rng([seed, digest(0, source.id)])
    rgb, regions = _frame(rng, source, size)
    thing = _thing(rng, source, regions)
    can = {"object": thing is not None, "background": thing is not None, "shape": bool(shapes)}
    can["segments"] = source.segments is not None and regions is not None and len(np.unique(regions)) > 1
    kind = draw_kind(rng, {kind: share for kind, share in KINDS.items() if can.get(kind, True)})
    light = _highlights(rng, to_linear(rgb))
    layers = _stage(rng, kind, light, thing, regions, shapes)
    exposure = expose(layers, _lens(rng, kind, layers, len(light)), _aperture(rng))
    camera = _camera(rng, grain(rgb))
    return develop(rng, exposure, rng.uniform(0.8, 1.1), camera, kind)


def _frame(rng: np.random.Generator, source: Sharp, size: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Cut a square out of the photo and of its objects or segments; sometimes shrink it before, sometimes mirror it."""
    planes = [images.load(source.image)]
    if path := source.objects or source.segments:
        planes.append(images.load_mask(path))
        if planes[1].shape != planes[0].shape[:2]:
            raise DataError(f"{path}: differs in size from its photo {source.image}. Replace it, or remove it.")
    height, width = planes[0].shape[:2]
    side = min(size, height, width)
    shrink = rng.choice([1.0, rng.uniform(max(0.5, side / min(height, width)), 1)])
    height, width = max(side, round(shrink * height)), max(side, round(shrink * width))
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    step = rng.choice([-1, 1])
    planes[0] = resize(planes[0], height, width)
    planes[1:] = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_NEAREST) for plane in planes[1:]]
    planes = [np.ascontiguousarray(p[top : top + side, left : left + side][:, ::step]) for p in planes]
    return planes[0], planes[1] if len(planes) > 1 else None


def _thing(rng: np.random.Generator, source: Sharp, regions: np.ndarray | None) -> np.ndarray | None:
    """Return the objects, or one of the segments, as bool H×W; None if none has a suitable size."""
    if regions is None:
        return None
    numbers, counts = np.unique(regions > 127 if source.objects else regions, return_counts=True)
    fits = (counts >= _OBJECT[0] * regions.size) & (counts <= _OBJECT[1] * regions.size)
    if source.objects:
        return regions > 127 if numbers[-1] and fits[-1] else None
    return regions == rng.choice(numbers[fits]) if fits.any() else None


def _highlights(rng: np.random.Generator, light: np.ndarray) -> np.ndarray:
    """Sometimes restore the light that the sensor clipped, so that lights blur into pictures of the aperture."""
    excess = np.clip((light.min(2, keepdims=True) - 0.85) / 0.15, 0, 1)
    return light * (1 + np.float32(rng.choice([0, log_uniform(rng, 0.3, 5)])) * excess)


def _stage(
    rng: np.random.Generator,
    kind: str,
    light: np.ndarray,
    thing: np.ndarray | None,
    regions: np.ndarray | None,
    shapes: list[Path],
) -> list[Layer]:
    """Return the layers, back to front; depths are in metres."""
    (near, far), side = draw_span(rng), len(light)
    if kind == "segments" and regions is not None:
        level = _levels(rng, regions)
        masks = [level >= number for number in range(1, level.max() + 1)]
        return _layers(light, masks, list(np.geomspace(far, near, level.max() + 1)))
    if kind in ("object", "background") and thing is not None:
        run = kind == "object" and rng.uniform() < 0.5
        back = _ground(rng, side, near, far, foot=np.flatnonzero(thing.any(1))[-1] / side) if run else far
        return _layers(light, [thing], [back, near])
    if kind == "shape" and np.ptp(share := _shape(rng, shapes, light)) > 0.5:
        return [Layer(light, depth=depth_between(share, near, far))]
    if kind in ("ramp", "shape") or (kind == "blurred" and rng.uniform() < 0.5):  # a shape may fill its whole square
        ground = _ground(rng, side, near, far)
        wall = ground.T[:, :: rng.choice([-1, 1])]
        return [Layer(light, depth=ground if rng.uniform() < 0.6 else wall)]
    return [Layer(light, depth=near)]


def _layers(light: np.ndarray, masks: list[np.ndarray], depths: list[float | np.ndarray]) -> list[Layer]:
    return [Layer(*layer, depth) for layer, depth in zip(cut_layers(light, masks), depths, strict=True)]


def _ground(rng: np.random.Generator, side: int, near: float, far: float, foot: float = 1.0) -> np.ndarray:
    """Return the depth of level ground: `near` at row `foot` (a share of the height), `far` from the horizon up."""
    line = (np.arange(side, dtype=np.float32)[:, None] + 0.5) / side
    horizon = foot - rng.uniform(0.3, 1)
    return np.asarray(depth_between(np.clip((foot - line) / (foot - horizon), -0.5, 1).repeat(side, 1), near, far))


def _shape(rng: np.random.Generator, shapes: list[Path], light: np.ndarray) -> np.ndarray:
    """Cut a square out of a shape mask: float32 side×side, 0 = in focus, 1 = defocused; its edge is a step or ramp."""
    mask = images.load_mask(shapes[rng.integers(len(shapes))])
    short, side = min(mask.shape), len(light)
    top, left = (rng.integers(length - short + 1) for length in mask.shape)
    mask = resize(mask[top : top + short, left : left + short], side, side)
    blurred = fit_mask(mask[:, :: rng.choice([-1, 1])] > 127, light, 12)  # the outline follows edges of the photo
    return cv2.GaussianBlur(blurred.astype(np.float32), (0, 0), log_uniform(rng, 1, 40) * side / 320)


def _levels(rng: np.random.Generator, regions: np.ndarray) -> np.ndarray:
    """Assign each region one of two or three depths, int H×W, 0 = farthest; lower regions tend to be nearer."""
    numbers, inverse = np.unique(regions, return_inverse=True)
    inverse = inverse.reshape(regions.shape)
    rows = np.indices(regions.shape)[0]
    height = np.bincount(inverse.ravel(), rows.ravel()) / np.bincount(inverse.ravel()) / len(regions)
    rank = np.argsort(np.argsort(height + rng.normal(0, 0.25, len(numbers))))
    return (rank * rng.integers(2, min(3, len(numbers)) + 1) // len(numbers))[inverse]


def _lens(rng: np.random.Generator, kind: str, layers: list[Layer], side: int) -> Lens:
    """Focus a lens as the kind requires, and open it until the strongest defocus has a randomly drawn radius."""
    near, far = extremes(layers)
    focus = {
        "background": far,
        "ramp": depth_between(rng.uniform(0.05, 0.95), near, far),
        "segments": layers[rng.integers(len(layers))].depth,
        "shape": near,
        "blurred": near * rng.uniform(0.3, 0.6),
    }.get(kind, layers[-1].depth)
    lens = normal_lens(float(focus), side)
    if kind == "sharp":
        return lens  # everything lies in the plane in focus, so no aperture can blur it
    # A layer of constant depth should not be doubtful as a whole: if the weakest defocus is too weak, open further.
    # (`scenes` moves such a layer into focus instead. With only two or three depths that could leave nothing defocused;
    # here the depths lie well apart, so little opening is needed.)
    depths = [near, far] if kind == "blurred" else [layer.depth for layer in layers if np.ndim(layer.depth) == 0]
    steps = np.abs(lens.circle_of_confusion(np.array(depths or [near])))
    ends = np.abs(lens.circle_of_confusion(np.array([near, far])))
    weakest = np.min(steps[steps > 0], initial=ends.max())
    radius = log_uniform(rng, *(_BLUR_RUNNING if kind == "ramp" else _BLUR)) * side / 320
    radius = max(radius, clear_coc(float(ends.max() / weakest)))
    return lens.opened(radius, (near, far)[int(ends.argmax())])


def _aperture(rng: np.random.Generator) -> Aperture:
    """Draw an aperture: round, or with straight blades.

    Unlike in `scenes`, none is a cat's eye. That shape turns around the centre of the frame, but most sources are whole
    frames and one kernel serves a whole picture.
    """
    rim = max(0.0, rng.uniform(-0.5, 0.8))
    if rng.uniform() < 0.3:
        return partial(polygon, blades=int(rng.integers(5, 10)), rotation=rng.uniform(0, 2 * np.pi), rim=rim)
    return partial(disc, rim=rim)


def _camera(rng: np.random.Generator, noise: float) -> Camera:
    """Draw a camera whose noise is about as strong as the photo's own, `noise` grey levels, over the whole picture.

    Blurring removes the photo's own noise. Without new noise, the missing noise would reveal the defocus.
    """
    tone = 0.2  # level of light at which the slope of sRGB is 1.12
    floor = (rng.uniform(0.6, 1.4) * noise / 255 / 1.12) ** 2 / tone
    # weaker contrast and sharpening than for a scene, because a camera has already processed the photo
    return draw_camera(rng, contrast=0.4, sharpening=0.7, shot=floor)
