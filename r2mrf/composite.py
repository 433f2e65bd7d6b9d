"""Sharp photographs, photographed anew through a lens: what `data.source: composite` trains on.

    sources, shapes = find_sharp(Path("data/sharp_photos"))
    train, test = split_groups(sources, share=0.15, seed=0)
    photo = render_composite(train[0], shapes, seed=0)      # if is_sharp(images.load(train[0].image))

A photo is taken apart into layers by what is known of it (its main objects, its segments, or nothing but the
shape that in-focus regions have), and the lens of `optics` is focused on one of them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from r2mrf import geometry, images
from r2mrf.datasets import SUFFIXES
from r2mrf.optics import DOUBT, FOCUS_COC, Aperture, Camera, Layer, Lens, disc, expose, polygon, to_linear
from r2mrf.pairs import DataError
from r2mrf.scenes import Photo
from r2mrf.surfaces import log_uniform

KINDS: dict[str, float] = {  # share of each kind; of one photo, of those that it can be rendered as
    "object": 0.32,  # in focus: the main object; blurred: what is behind, half of it a ground that runs to it
    "background": 0.14,  # in focus: the background; blurred: the object before it
    "segments": 0.14,  # two or three depths, one of them in focus
    "shape": 0.12,  # in focus: a region of the shape that such regions have, its edge a step or a run
    "ramp": 0.12,  # depth runs, a band of it is in focus
    "sharp": 0.08,  # all in focus
    "blurred": 0.08,  # nothing in focus
}

_BLUR = (1.2, 12.0)  # radii of the strongest defocus at a side of 320 pixels, log-uniform
_BLUR_RUNNING = (2.5, 12.0)  # where depth runs: with less, there is more doubt than anything else
_OBJECT = (0.03, 0.8)  # shares of the picture that an object takes
_DETAIL = 3.0  # grey levels RMS: a window with less of it tells nothing of focus
_SOFT = 0.55  # ratio of fine to coarse detail below which a window is soft
_SHARP_SHARE, _DETAILED_SHARE = 0.85, 0.5  # what a photo must have of windows to be a source
_GRAIN = 2.0  # grey levels RMS: the finest detail of a photo's smoothest part is noise up to here
_VOC_CROP = re.compile(r"(\d{4}_\d{6})_\d+")  # year_photo_crop


@dataclass(frozen=True)
class Sharp:
    """A sharp photograph on disk, and what is known of it."""

    id: str  # unique: set/stem
    group: str  # photos of one group show the same thing: they never stand on both sides of a split
    image: Path
    objects: Path | None = None  # mask of the main objects, white = object
    segments: Path | None = None  # region numbers, one value a region


# On disk.


def find_sharp(root: Path) -> tuple[list[Sharp], list[Path]]:
    """Sharp photos of all sets, sorted by id, and shape masks (white = defocused), sorted.

    Raises:
        DataError: there is no photo; says where it looked, and for what.
    """
    sources = []
    for folder in sorted(Path(root).glob("sharp/*/images")):
        objects, segments = (_by_stem(folder.with_name(name)) for name in ("objects", "segments"))
        for stem, path in _by_stem(folder).items():
            crop = _VOC_CROP.fullmatch(stem)
            name, group = (f"{folder.parent.name}/{part}" for part in (stem, crop[1] if crop else stem))
            sources.append(Sharp(name, group, path, objects.get(stem), segments.get(stem)))
    if not sources:
        raise DataError(
            f"{Path(root).absolute() / 'sharp'}: no sharp photos here. Wanted: sharp/SET/images/NAME.jpg, with "
            "sharp/SET/objects/NAME.png (white = object) or sharp/SET/segments/NAME.png (region numbers) where "
            "there are some, and shapes/SET/NAME.png (white = defocused). Put them there, or set data.root."
        )
    shapes = [path for folder in Path(root).glob("shapes/*/") for path in _by_stem(folder).values()]
    return sorted(sources, key=lambda source: source.id), sorted(shapes)


def split_groups(sources: Iterable[Sharp], share: float, seed: int) -> tuple[list[Sharp], list[Sharp]]:
    """(train, test) sources, in the given order; `share` of the groups, at least one, are for testing.

    The groups with the smallest digests of seed and name: what is added later moves few of the others.

    Raises:
        DataError: there are fewer than two groups.
    """
    sources = list(sources)
    groups = sorted({source.group for source in sources}, key=lambda group: _digest(seed, group))
    if len(groups) < 2:
        raise DataError(f"{len(groups)} sharp photos that are not of one group: two are needed to split them.")
    tests = set(groups[: min(max(1, round(share * len(groups))), len(groups) - 1)])
    return [s for s in sources if s.group not in tests], [s for s in sources if s.group in tests]


def _by_stem(folder: Path) -> dict[str, Path]:
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return {path.stem: path for path in files if path.suffix.lower() in SUFFIXES and path.name[0] != "."}


def _digest(seed: int, name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:8], "big")


# Sharpness: a photo with defocus of its own would become a false label.


def is_sharp(rgb: np.ndarray) -> bool:
    """Whether a photo, uint8 H×W×3, is sharp at pixel level nearly wherever it shows something."""
    detailed, sharp = sharpness(rgb)
    return detailed >= _DETAILED_SHARE and sharp >= _SHARP_SHARE


def sharpness(rgb: np.ndarray) -> tuple[float, float]:
    """Shares of a photo with detail at all, and, of these, with detail as fine as its pixels.

    In windows of about 30 pixels, fine = RMS of what a Gaussian of sigma 1 takes away, less the noise; coarse =
    RMS of what is between sigma 1 and sigma 3. A window has detail if there, or between sigma 3 and 9, are more
    than 3 grey levels. It is sharp if coarse is above 3 too, and fine / coarse above 0.55: a clean step has 0.6
    to 0.8; sharp photos have a median of 0.95, and blurred by a disc of radius 1.2, 2 and 4 pixels one of 0.5,
    0.35 and 0.23 [measured]. Detail lost by blurring as a measure: Zhuo and Sim 2011, "Defocus map estimation
    from a single image".
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine, coarse, coarsest = _energy(grey, 0, 1), _energy(grey, 1, 3), _energy(grey, 3, 9)
    fine -= _grain(fine) ** 2
    detailed = np.maximum(coarse, coarsest) > _DETAIL**2
    if not detailed.any():
        return 0.0, 0.0
    sharp = (coarse > _DETAIL**2) & (fine > _SOFT**2 * coarse)
    return float(detailed.mean()), float(sharp[detailed].mean())


def _energy(grey: np.ndarray, low: float, high: float) -> np.ndarray:
    """Mean square, in windows, of what lies between Gaussians of those sigmas."""
    smooth = cv2.GaussianBlur(grey, (0, 0), low) if low else grey
    return cv2.GaussianBlur((smooth - cv2.GaussianBlur(grey, (0, 0), high)) ** 2, (0, 0), 8)


def _grain(fine: np.ndarray) -> float:
    """Noise in grey levels: the fine detail of the smoothest windows."""
    return min(float(np.sqrt(np.quantile(fine, 0.02))), _GRAIN)


# Rendering.


def render_composite(source: Sharp, shapes: list[Path], seed: int, size: int = 320) -> Photo:
    """Photograph of a sharp photo's scene with a shallower depth of field, square.

    Its side is `size` or the photo's shortest side, whichever is less: an enlarged sharp photo is no longer
    sharp. Same source, shapes, seed and size, same bytes.

    Raises:
        ImageError: a file of the source cannot be read.
        DataError: a mask is not of its photo's size.
    """
    if seed < 0 or size < 32:
        raise ValueError(f"Give a seed of 0 or more and a size of 32 or more, not {seed} and {size}.")
    rng = np.random.default_rng([seed, _digest(0, source.id)])
    rgb, regions = _frame(rng, source, size)
    thing = _thing(rng, source, regions)
    can = {"object": thing is not None, "background": thing is not None, "shape": bool(shapes)}
    can["segments"] = source.segments is not None and len(np.unique(regions)) > 1
    shares = {kind: share for kind, share in KINDS.items() if can.get(kind, True)}
    kind = str(rng.choice(list(shares), p=np.array(list(shares.values())) / sum(shares.values())))
    light = _highlights(rng, to_linear(rgb))
    layers = _stage(rng, kind, light, thing, regions, shapes)
    exposure = expose(layers, _lens(rng, kind, layers, len(light)), _aperture(rng))
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    camera = _camera(rng, _grain(_energy(grey, 0, 1)))
    image, jpeg = camera.develop(exposure.light * np.float32(rng.uniform(0.8, 1.1)), rng)
    return Photo(image, np.rint(exposure.defocus * 255).astype(np.uint8), exposure.coc, kind, jpeg)


def _frame(rng: np.random.Generator, source: Sharp, size: int) -> tuple[np.ndarray, np.ndarray | None]:
    """A square of the photo, sometimes shrunk before, perhaps mirrored, and of its objects or segments."""
    planes = [images.load(source.image)]
    for path in (source.objects or source.segments,):
        if path:
            planes.append(images.decode_mask(images.read_bytes(path)))
            if planes[1].shape != planes[0].shape[:2]:
                raise DataError(f"{path}: not of the size of its photo {source.image}. Replace it, or remove it.")
    height, width = planes[0].shape[:2]
    side = min(size, height, width)
    shrink = rng.choice([1.0, rng.uniform(max(0.5, side / min(height, width)), 1)])
    height, width = max(side, round(shrink * height)), max(side, round(shrink * width))
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    step = rng.choice([-1, 1])
    planes[0] = geometry.resize(planes[0], height, width)
    planes[1:] = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_NEAREST) for plane in planes[1:]]
    planes = [np.ascontiguousarray(p[top : top + side, left : left + side][:, ::step]) for p in planes]
    return planes[0], planes[1] if len(planes) > 1 else None


def _thing(rng: np.random.Generator, source: Sharp, regions: np.ndarray | None) -> np.ndarray | None:
    """bool H×W: the objects, or one of the segments; None if none is of a fitting size."""
    if regions is None:
        return None
    numbers, counts = np.unique(regions > 127 if source.objects else regions, return_counts=True)
    fits = (counts >= _OBJECT[0] * regions.size) & (counts <= _OBJECT[1] * regions.size)
    if source.objects:
        return regions > 127 if numbers[-1] and fits[-1] else None
    return regions == rng.choice(numbers[fits]) if fits.any() else None


def _highlights(rng: np.random.Generator, light: np.ndarray) -> np.ndarray:
    """What the sensor cut off given back, sometimes: lights become pictures of the aperture."""
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
    """Layers, back to front; depths in metres."""
    near = log_uniform(rng, 0.8, 3)
    far = near * log_uniform(rng, 1.6, 8)
    side = len(light)
    if kind == "segments":
        level = _levels(rng, regions)
        depths = np.geomspace(far, near, level.max() + 1)
        return _cut(light, [level >= number for number in range(level.max() + 1)], list(depths))
    if kind in ("object", "background"):
        run = kind == "object" and rng.uniform() < 0.5
        back = _ground(rng, side, near, far, foot=np.flatnonzero(thing.any(1))[-1] / side) if run else far
        return _cut(light, [np.ones_like(thing), thing], [back, near])
    if kind == "shape" and np.ptp(share := _shape(rng, shapes, light)) > 0.5:
        return [Layer(light, depth=_depth(share, near, far))]
    if kind in ("ramp", "shape") or (kind == "blurred" and rng.uniform() < 0.5):  # a shape may fill its square
        ground = _ground(rng, side, near, far)
        wall = ground.T[:, :: rng.choice([-1, 1])]
        return [Layer(light, depth=ground if rng.uniform() < 0.6 else wall)]
    return [Layer(light, depth=near)]


def _depth(share: np.ndarray, near: float, far: float) -> np.ndarray:
    """Depth from the share of the way to `far`: 1/depth, and with it the circle of confusion, is linear."""
    return 1 / ((1 - share) / near + share / far)


def _ground(rng: np.random.Generator, side: int, near: float, far: float, foot: float = 1.0) -> np.ndarray:
    """Depth of a level ground: `near` at the row `foot`, a share of the height, and `far` from a horizon up."""
    line = (np.arange(side, dtype=np.float32)[:, None] + 0.5) / side
    horizon = foot - rng.uniform(0.3, 1)
    return _depth(np.clip((foot - line) / (foot - horizon), -0.5, 1).repeat(side, 1), near, far)


def _shape(rng: np.random.Generator, shapes: list[Path], light: np.ndarray) -> np.ndarray:
    """float32 side×side from 0 = in focus to 1: a square of a shape mask, its edge a step or a run."""
    mask = images.decode_mask(images.read_bytes(shapes[rng.integers(len(shapes))]))
    short, side = min(mask.shape), len(light)
    top, left = (rng.integers(length - short + 1) for length in mask.shape)
    mask = geometry.resize(mask[top : top + short, left : left + short], side, side)
    blurred = _fitted(mask[:, :: rng.choice([-1, 1])] > 127, light, 12)  # it follows what is in the photo
    return cv2.GaussianBlur(blurred.astype(np.float32), (0, 0), log_uniform(rng, 1, 40) * side / 320)


def _levels(rng: np.random.Generator, regions: np.ndarray) -> np.ndarray:
    """int H×W: each region at one of two or three depths, 0 = farthest; what is lower tends to be nearer."""
    numbers, inverse = np.unique(regions, return_inverse=True)
    inverse = inverse.reshape(regions.shape)
    rows = np.indices(regions.shape)[0]
    height = np.bincount(inverse.ravel(), rows.ravel()) / np.bincount(inverse.ravel()) / len(regions)
    rank = np.argsort(np.argsort(height + rng.normal(0, 0.25, len(numbers))))
    return (rank * rng.integers(2, min(3, len(numbers)) + 1) // len(numbers))[inverse]


def _cut(light: np.ndarray, masks: list[np.ndarray], depths: list[float | np.ndarray]) -> list[Layer]:
    """Layers of a photo, back to front, of masks bool H×W: each holds those of the layers before it.

    A layer's colour is its own surface's, continued beyond its outline: a blurred background must not hold
    light of the object before it, nor a sharp object's edge a seam of the old background.
    """
    whole = np.ones(light.shape[:2], bool)
    outlines = [whole, *(_grown(_fitted(mask, light, 4), -1) for mask in masks[1:]), ~whole]
    layers = []
    for outline, nearer, depth in zip(outlines, outlines[1:], depths, strict=False):
        # drawn outlines miss some pixels of what they surround: those behind keep a distance
        own = _grown(outline, -1) & ~_grown(nearer, 5)
        alpha = cv2.GaussianBlur(outline.astype(np.float32), (0, 0), 0.7) if layers else None
        layers.append(Layer(_continued(light, own), alpha, depth))
    return layers


def _fitted(mask: np.ndarray, light: np.ndarray, reach: int) -> np.ndarray:
    """bool H×W: a roughly drawn mask, its outline moved by up to `reach` pixels to where the colours change.

    Between what is surely inside and what is surely outside, a pixel goes with the one whose colour nearby it
    is more like; where they are alike, with the mask. A median then rids the outline of specks of texture.
    """
    tones = np.sqrt(np.minimum(light, 1))
    inside, outside = _grown(mask, -reach), ~_grown(mask, reach)
    unlike = []
    for side in (inside, outside):
        weight = side.astype(np.float32)[..., None]
        near = cv2.blur(np.concatenate([tones * weight, weight], axis=2), (6 * reach + 1, 6 * reach + 1))
        known = near[..., 3:] > 1e-3
        nearby = np.where(known, near[..., :3] / np.maximum(near[..., 3:], 1e-3), tones)
        unlike.append(((tones - nearby) ** 2).sum(2))
    claim = (unlike[1] - unlike[0]) / (unlike[1] + unlike[0] + 0.01)
    claim = cv2.GaussianBlur(claim, (0, 0), 1) + cv2.blur(mask.astype(np.float32), (2 * reach + 1, 2 * reach + 1)) - 0.5
    return cv2.medianBlur(((claim > 0) & ~outside | inside).astype(np.uint8), 7) > 0


def _grown(mask: np.ndarray, by: int) -> np.ndarray:
    """bool H×W, larger by that many pixels, or smaller; the frame's edge is no outline."""
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(by) + 1, 2 * abs(by) + 1))
    return (cv2.dilate if by > 0 else cv2.erode)(mask.astype(np.uint8), brush) > 0


def _continued(light: np.ndarray, own: np.ndarray) -> np.ndarray:
    """H×W×3 with what is not `own` filled by the mirror image of what is, across its outline.

    A mirror image has the surface's texture, so that a surface in focus stays so under a blurred edge.
    """
    known, (rows, columns) = own, np.indices(own.shape)
    bottom, right = own.shape[0] - 1, own.shape[1] - 1
    for _ in range(2):  # what the first pass has filled, the second one mirrors further in
        if own.all() or not own.any():
            break
        labels = cv2.distanceTransformWithLabels(
            (~own).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )[1]
        nearest = np.zeros(labels.max() + 1, np.intp)
        nearest[labels[own]] = np.flatnonzero(own)
        y, x = np.divmod(nearest[labels], own.shape[1])
        mirror = np.clip(2 * y - rows, 0, bottom), np.clip(2 * x - columns, 0, right)
        good = own[mirror]
        light = light[np.where(good, mirror[0], y), np.where(good, mirror[1], x)]
        own = good
    # the outline's pixel steps, mirrored, are finer than any detail
    return np.where(known[..., None], light, cv2.GaussianBlur(light, (0, 0), 0.7))


def _lens(rng: np.random.Generator, kind: str, layers: list[Layer], side: int) -> Lens:
    """A lens focused where the kind asks, opened for a drawn radius of the strongest defocus."""
    near, far = (float(pick([pick(layer.depth) for layer in layers])) for pick in (np.min, np.max))
    focus = {
        "background": far,
        "ramp": float(_depth(rng.uniform(0.05, 0.95), near, far)),
        "segments": layers[rng.integers(len(layers))].depth,
        "shape": near,
        "blurred": near * rng.uniform(0.3, 0.6),
    }.get(kind, layers[-1].depth)
    lens = Lens(focal=50, f_number=8, focus=float(focus), pixels_per_mm=side / 36)
    if kind == "sharp":
        return lens
    # A layer of one depth should not lie in doubt as a whole: if the weakest defocus is too weak, open further.
    steps = [near, far] if kind == "blurred" else [layer.depth for layer in layers if np.ndim(layer.depth) == 0]
    steps = np.abs(lens.circle_of_confusion(steps or near))
    ends = np.abs(lens.circle_of_confusion([near, far]))
    weakest = np.min(steps[steps > 0], initial=ends.max())
    radius = log_uniform(rng, *(_BLUR_RUNNING if kind == "ramp" else _BLUR)) * side / 320
    radius = max(radius, float(ends.max() / weakest) * 1.02 * (FOCUS_COC + DOUBT))
    return lens.opened(radius, (near, far)[int(ends.argmax())])


def _aperture(rng: np.random.Generator) -> Aperture:
    rim = max(0.0, rng.uniform(-0.5, 0.8))
    if rng.uniform() < 0.3:
        return partial(polygon, blades=int(rng.integers(5, 10)), rotation=rng.uniform(0, 2 * np.pi), rim=rim)
    return partial(disc, rim=rim)


def _camera(rng: np.random.Generator, grain: float) -> Camera:
    """A camera whose noise, over all the picture, is about as strong as the photo's own `grain`, in grey levels.

    That went away where the photo was blurred: left alone, it would tell focus from defocus.
    """
    tone = 0.2  # light at which sRGB rises by 1.12 a unit of light
    floor = (rng.uniform(0.6, 1.4) * grain / 255 / 1.12) ** 2 / tone
    return Camera(
        shot=max(floor, log_uniform(rng, 3e-5, 2e-3)),
        read=log_uniform(rng, 3e-4, 6e-3),
        contrast=rng.uniform(0, 0.4),
        sharpening=max(0.0, rng.uniform(-0.3, 0.7)),
        quality=int(rng.integers(70, 99)),
    )
