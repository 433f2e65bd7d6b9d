"""Draws surfaces, textures and forms of procedural scenes. Lengths refer to a side of 320 pixels and scale with it."""

from __future__ import annotations

import cv2
import numpy as np

from r2mrf.rendering.camera import to_linear

_PAINTS = np.array(  # sRGB of common materials: leaves, earth, sky, stone, skin, wood, cloth, snow, night
    [[70, 105, 35], [120, 140, 60], [110, 85, 60], [120, 165, 220], [128, 128, 126], [205, 160, 135],
     [95, 60, 35], [180, 30, 35], [225, 180, 40], [40, 60, 120], [235, 235, 232], [22, 22, 26]], np.uint8,
)  # fmt: skip


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number between two positive bounds whose logarithm is uniformly distributed."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


# Surfaces: the colours painted on a layer.


def palette(rng: np.random.Generator) -> np.ndarray:
    """Draw four linear colours that go together, float32 4×3."""
    common = to_linear(_PAINTS[rng.choice(len(_PAINTS), 4)])
    own, grey = rng.uniform(0.02, 0.8, 3), common.mean(1, keepdims=True)
    mixed = common + rng.uniform(0, 0.25) * (own - common) + rng.uniform(0, 0.8) * (grey - common)
    return (mixed * np.exp(rng.normal(0, 0.5, (4, 1))) + 0.004).astype(np.float32)


def surface(
    rng: np.random.Generator, size: int, paints: np.ndarray, busy: float, horizon: float | None = None
) -> np.ndarray:
    """Paint a surface, linear float32 size×size×3, with leaves, texture and shading; `busy` from 0 (smooth) to 1.

    A `horizon`, as a share of the height, makes it a ground in perspective.
    """
    count = int(rng.uniform(1, 8) + busy * log_uniform(rng, 20, 700))
    base, labels = _leaves(rng, size, paints, count, horizon)
    fields = np.stack([_texture(rng, size, horizon) for _ in range(2)])
    strength = np.exp(rng.uniform(np.log(0.02), np.log(0.08 + 1.2 * busy), count + 1)).astype(np.float32)
    first = rng.uniform(size=count + 1) < rng.choice([0.1, 0.5, 0.9])
    slope = rng.normal(0, 0.5 / size, (2, count + 1)).astype(np.float32)
    y, x = np.indices((size, size), np.float32)
    tone = np.where(first[labels], fields[0], fields[1]) * strength[labels]
    tone += slope[0][labels] * (x - size / 2) + slope[1][labels] * (y - size / 2)
    side = rng.normal(0, 0.8, 2) / size
    tone += rng.uniform(0, 0.4) * noise(rng, size, 1.3) + np.float32(side[0]) * x + np.float32(side[1]) * y
    tint = 1 + rng.normal(0, 0.15, 3)
    return base * np.exp(np.clip(tone, -4, 3)[..., None] * tint.astype(np.float32))


def _leaves(
    rng: np.random.Generator, size: int, paints: np.ndarray, count: int, horizon: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw occluding shapes with power-law radii; return (linear colour, antialiased; number of each pixel's shape)."""
    small, large, power = log_uniform(rng, 1.5, 8), rng.uniform(30, 110), rng.uniform(0.4, 2)
    spread = rng.uniform(size=count) * (large**-power - small**-power)
    radius = (small**-power + spread) ** (-1 / power) * size / 320
    centre = rng.uniform(-0.05, 1.05, (count, 2)) * size
    stretch = np.ones((count, 1, 2))
    if horizon is not None:
        near = np.sort(np.exp(-rng.uniform(0, 2.5, count)))
        centre[:, 1] = (horizon + (1 - horizon) * near * 1.1) * size
        stretch = near[:, None, None] * np.array([1.0, 0.45])
    shapes = centre[:, None] + radius[:, None, None] * stretch * _outlines(rng, count)
    canvas = np.zeros((2 * size, 2 * size), np.int32)
    for number, shape in enumerate(np.rint(shapes * 2 * 16).astype(np.int32), 1):
        cv2.fillPoly(canvas, [shape], number, shift=4)
    colours = paints[rng.choice(len(paints), count + 1, p=rng.dirichlet([0.6] * len(paints)))]
    colours = colours * np.exp(rng.normal(0, rng.uniform(0.1, 0.5), (count + 1, 1)))
    base = cv2.resize(colours.astype(np.float32)[canvas], (size, size), interpolation=cv2.INTER_AREA)
    return base, canvas[::2, ::2]


def _outlines(rng: np.random.Generator, count: int, points: int = 24) -> np.ndarray:
    """Draw outlines of about unit radius, count×points×2: wobbly rounds and polygons, stretched and turned."""
    angle = np.arange(points) / points * 2 * np.pi
    waves = np.arange(2, 8)[:, None]
    phase = rng.uniform(0, 2 * np.pi, (count, 6, 1))
    rough = rng.uniform(0, 1) * rng.uniform(0, 0.9, (count, 1))
    radial = 1 + rough * (np.cos(waves * angle + phase) / waves).sum(1)
    corners = rng.choice([3, 4, 4, 4, 6], (count, 1))
    part = np.mod(angle, 2 * np.pi / corners) - np.pi / corners
    straight = rng.uniform(size=(count, 1)) < rng.uniform(0, 1)
    radial = np.where(straight, np.cos(np.pi / corners) / np.cos(part), radial)
    turn = np.where(rng.uniform(size=(count, 1)) < rng.uniform(0, 1), np.pi / 4, 0)
    x, y = radial * np.cos(angle + turn), radial * np.sin(angle + turn)
    long = np.exp(rng.uniform(-0.8, 0.8, (count, 1)))
    spin = rng.normal(0, rng.choice([0.03, 0.3, 3]), (count, 1))
    x, y = x * long, y / long
    return np.stack([x * np.cos(spin) - y * np.sin(spin), x * np.sin(spin) + y * np.cos(spin)], -1)


# Textures: float32 size×size, with a mean of about 0 and a standard deviation of about 1.


def _texture(rng: np.random.Generator, size: int, horizon: float | None) -> np.ndarray:
    kind = rng.choice(4, p=[0.36, 0.14, 0.22, 0.28])
    if kind >= 2:
        return (_waves, _strokes)[kind - 2](rng, size, horizon)
    field = noise(rng, size, rng.uniform(-0.2, 0.9), log_uniform(rng, 1, 12))
    field = field.T if rng.uniform() < 0.5 else field
    return field if kind == 0 else np.tanh(5 * np.sin(field * rng.uniform(2, 6)))


def noise(rng: np.random.Generator, size: int, slope: float, stretch: float = 1.0) -> np.ndarray:
    """Sum octaves of noise; each is `2**slope` times weaker than the octave of twice its grain; 0 = 1/f spectrum."""
    field: np.ndarray = np.zeros((2, 2), np.float32)
    width = max(4, round(size / stretch))
    for octave in range(int(np.log2(size)) - 1, -1, -1):
        shape = (max(2, size >> octave), max(2, width >> octave))
        finer = np.float32(2 ** (slope * octave)) * rng.standard_normal(shape, np.float32)
        field = cv2.resize(field, shape[::-1], interpolation=cv2.INTER_CUBIC) + finer
    field = cv2.resize(field, (size, size), interpolation=cv2.INTER_CUBIC)
    return (field - field.mean()) / (field.std() + 1e-6)


def _waves(rng: np.random.Generator, size: int, horizon: float | None) -> np.ndarray:
    """Draw stripes, weave or tiles, perhaps warped; in perspective below a horizon, where fine ones fade out."""
    y, x = np.indices((size, size), np.float32) / size
    period, turn, fade = log_uniform(rng, 4, 50) / 320, rng.choice([0, rng.uniform(0, np.pi)]), np.float32(1)
    if horizon is not None:
        near = np.maximum((y - horizon) / (1 - horizon), 0.02)
        x, y = (x - 0.5) / near, 1 / near
        fade = np.clip(near**2 * period * size / 3 - 0.3, 0, 1)
    u, v = (x * np.cos(turn) + y * np.sin(turn)) / period, (y * np.cos(turn) - x * np.sin(turn)) / period
    u = u + rng.choice([0, rng.uniform(0, 0.5)]) * noise(rng, size, 1.0)
    stripes, across = np.sin(2 * np.pi * u), np.sin(2 * np.pi * v)
    tiles = rng.normal(0, 1, (64, 64))[np.floor(v).astype(int) % 64, np.floor(u).astype(int) % 64]
    wave = (stripes, stripes * across, tiles)[rng.integers(3)]
    return (fade * np.tanh(rng.uniform(0.5, 5) * wave)).astype(np.float32)


def _strokes(rng: np.random.Generator, size: int, horizon: float | None) -> np.ndarray:
    """Draw grass, hair or needles: curved lines in roughly one direction, upright on a ground."""
    count = int(rng.integers(100, 600))
    length: float | np.ndarray = log_uniform(rng, 8, 80) * size / 320
    way = rng.uniform(0, 2 * np.pi)
    root = rng.uniform(-0.1, 1.1, (count, 2)) * size
    if horizon is not None:
        near = np.sort(np.exp(-rng.uniform(0, 2.5, count)))
        root[:, 1] = (horizon + (1 - horizon) * 1.1 * near) * size
        length, way = length * near, -np.pi / 2
    canvas, tones = np.full((size, size), 90, np.uint8), rng.integers(0, 256, count)
    _curves(rng, canvas, root, way, length, tones.tolist())
    return (canvas.astype(np.float32) - 100) / 64


def _curves(
    rng: np.random.Generator,
    canvas: np.ndarray,
    root: np.ndarray,
    way: float,
    length: float | np.ndarray,
    tones: list[int],
) -> None:
    """Draw curves from the roots (N×2, pixels) in roughly the given direction on uint8 `canvas`."""
    count, thick = len(root), int(rng.integers(1, 4))
    angle = way + rng.normal(0, rng.uniform(0.1, 0.8), (count, 1)) + rng.normal(0, 0.2, (count, 5)).cumsum(1)
    step = np.stack([np.cos(angle), np.sin(angle)], -1) * np.reshape(length, (-1, 1, 1)) / 5
    lines = np.rint((root[:, None] + step.cumsum(1)) * 16).astype(np.int32)
    for line, tone in zip(lines, tones, strict=True):
        cv2.polylines(canvas, [line], False, tone, thick, cv2.LINE_AA, 4)


def lamps(rng: np.random.Generator, light: np.ndarray) -> None:
    """Add small lights, brighter than the sensor can hold; out of focus they become pictures of the aperture."""
    size = len(light)
    for x, y in rng.integers(0, size, (int(rng.integers(3, 40)), 2)).tolist():
        colour = rng.uniform(0.4, 1, 3) * log_uniform(rng, 2, 40)
        cv2.circle(light, (x, y), int(rng.integers(0, 2 + size // 200)), colour.tolist(), -1)


def roundness(rng: np.random.Generator, alpha: np.ndarray) -> np.ndarray:
    """Return the shading of a body with this outline, lit from one side: factors around 1, float32 H×W."""
    small = cv2.resize(alpha, (40, 40), interpolation=cv2.INTER_AREA)
    body = cv2.GaussianBlur(small, (0, 0), rng.uniform(1, 4))
    down, right = np.gradient(body)
    turn = rng.uniform(0, 2 * np.pi)
    shade = rng.uniform(0, 8) * (right * np.cos(turn) + down * np.sin(turn))
    return np.exp(np.clip(cv2.resize(shade.astype(np.float32), alpha.shape[::-1]), -1.2, 1))


# Forms: coverage of an object in the scene, uint8 size×size.


def _bodies(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw one to three bodies, some with a hole."""
    canvas = np.zeros((size, size), np.uint8)
    for shape in _outlines(rng, int(rng.integers(1, 4)), 96):
        centre = rng.uniform(0.1, 0.9, 2) * size
        rings = [centre + shape * rng.uniform(0.12, 0.4) * size]
        if rng.uniform() < 0.25:
            rings.append(centre + (rings[0] - centre) * rng.uniform(0.3, 0.7))
        cv2.fillPoly(canvas, [np.rint(16 * ring).astype(np.int32) for ring in rings], 255, cv2.LINE_AA, 4)
    return canvas


def _figure(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw a head with hair, a neck, shoulders and two arms, cut off by the lower edge."""
    canvas = np.zeros((size, size), np.uint8)
    head = rng.uniform(0.06, 0.22) * size
    x, y = rng.uniform(0.2, 0.8) * size, rng.uniform(0.1, 0.5) * size + head
    lean, wide = rng.normal(0, 0.3), rng.uniform(1.2, 2)
    hair = np.full((30, 2), (x, y - 0.3 * head)) + rng.normal(0, 0.3 * head, (30, 2))
    _curves(rng, canvas, hair, rng.uniform(0, np.pi), 1.2 * head, [255] * 30)
    ovals = [(0, 0, 0.75, 1, 0), (lean, 1.1, 0.4, 0.8, 0), (2 * lean, 3.9, wide, 2.8, rng.normal(0, 6))]
    for side in (-1, 1):
        ovals.append((2 * lean + side * wide, rng.uniform(2.5, 3.6), 0.4, 1.9, side * rng.uniform(-50, 20)))
    for right, down, a, b, tilt in ovals:
        box = ((x + right * head, y + down * head), (2 * a * head, 2 * b * head), float(tilt))
        cv2.ellipse(canvas, box, 255, -1, cv2.LINE_AA)
    return canvas


def _plant(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw stems that rise from the lower edge, with leaves."""
    canvas, count = np.zeros((size, size), np.uint8), int(rng.integers(3, 60))
    root = np.stack([rng.normal(rng.uniform(), 0.3, count), np.full(count, 1.02)], 1) * size
    _curves(rng, canvas, root, -np.pi / 2, rng.uniform(0.2, 1, count) * size, [255] * count)
    leaves = int(rng.integers(0, 60))
    centre = np.stack([rng.normal(rng.uniform(), 0.25, leaves), rng.uniform(0.2, 1.1, leaves)], 1) * size
    for shape, middle in zip(_outlines(rng, leaves), centre, strict=True):
        leaf = middle + shape * rng.uniform(0.02, 0.07) * size
        cv2.fillPoly(canvas, [np.rint(16 * leaf).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return canvas


def _foliage(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw a ragged cluster with gaps."""
    y, x = np.indices((size, size), np.float32) / size
    a, b, wide = *rng.uniform(0, 1, 2), rng.uniform(0.3, 0.6)
    field = noise(rng, size, rng.uniform(0.3, 1))
    field += 2.5 * (rng.uniform(0.6, 1.4) - np.hypot(x - a, y - b) / wide)
    return (np.clip(field * rng.uniform(2, 5) + 0.5, 0, 1) * 255).astype(np.uint8)


def _fence(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw bars, parallel or crossed."""
    y, x = np.indices((size, size), np.float32)
    turn, gap, thick = rng.uniform(0, np.pi), rng.uniform(0.15, 0.5) * size, rng.uniform(0.01, 0.07) * size
    cover = np.zeros((size, size), np.float32)
    for way in (turn, turn + rng.uniform(0.8, 1.6))[: rng.integers(1, 3)]:
        across = np.mod(x * np.cos(way) + y * np.sin(way), gap) - gap / 2
        cover = np.maximum(cover, np.clip(thick / 2 - np.abs(across) + 0.5, 0, 1))
    return (cover * 255).astype(np.uint8)


FORMS = (_bodies, _bodies, _bodies, _figure, _figure, _plant, _plant, _foliage, _fence)
