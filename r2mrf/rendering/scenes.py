"""Photographs procedural scenes: the training data of `data.source: synthetic`, which needs no download.

A scene has a backdrop, a ground or wall whose depth varies, and objects in front. Every surface is painted with dead
leaves (occluding shapes with power-law sizes; Lee, Mumford and Huang 2001) and textures. The lens is then focused and
opened as the kind of scene requires. Lengths refer to a side of 320 pixels.
"""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np

from r2mrf.rendering.lens import (
    FOCUS_COC,
    Aperture,
    Layer,
    Lens,
    cats_eye,
    defocused,
    disc,
    expose,
    polygon,
)
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
from r2mrf.rendering.surfaces import FORMS, lamps, log_uniform, noise, palette, roundness, surface

KINDS: dict[str, float] = {  # share of each kind of scene
    "front": 0.32,  # objects in front in focus, backdrop blurred
    "back": 0.16,  # backdrop in focus, objects in front blurred
    "ramp": 0.20,  # depth varies, and a band of it is in focus
    "smooth": 0.07,  # smooth objects in focus before a busy, blurred backdrop
    "busy": 0.07,  # busy objects in focus before a smooth, blurred backdrop
    "sharp": 0.10,  # all in focus
    "blurred": 0.08,  # nothing in focus
}

BLUR = (1.2, 12.0)  # radii of the strongest defocus in pixels, log-uniform


def render_scene(seed: int, size: int = 320) -> RenderedPhoto:
    """Render a scene as a photograph of `size`×`size` pixels; the same seed and size give the same bytes.

    Raises:
        ValueError: the seed is below 0, or the size below 32.
    """
    check_seed_and_size(seed, size)
    rng = np.random.default_rng(seed)
    kind = draw_kind(rng, KINDS)
    layers = _stage(rng, size, kind)
    lens = _lens(rng, size, kind, layers)
    exposure = expose(_out_of_doubt(layers, lens), lens, _aperture(rng))
    bright = float(np.quantile(exposure.light[::4, ::4].max(2), rng.uniform(0.85, 0.99)))
    camera = draw_camera(rng, contrast=0.6, sharpening=0.9)
    return develop(rng, exposure, rng.uniform(0.55, 1.1) / max(bright, 0.02), camera, kind)


# The stage: layers and lens.


def _stage(rng: np.random.Generator, size: int, kind: str) -> list[Layer]:
    """Return the layers, back to front; depths are in metres."""
    near, far = draw_span(rng)
    paints = palette(rng)
    backdrop = surface(rng, size, paints, {"smooth": 1.0, "busy": 0.0}.get(kind, rng.uniform(0, 1.2)))
    if rng.uniform() < 0.3:
        lamps(rng, backdrop)
    layers = [Layer(backdrop, depth=far)]
    if kind == "ramp" or rng.uniform() < 0.25:
        layers = _run(rng, size, paints, backdrop, (0.7 * near, far))
    count = int(rng.integers(0, 3) if kind == "ramp" else rng.integers(1, 4))
    spread = 0.8 if kind == "ramp" else 0.08
    for depth in np.sort(near * np.exp(rng.uniform(0, spread, count)))[::-1]:
        alpha = FORMS[rng.integers(len(FORMS))](rng, size).astype(np.float32) / 255
        colour = surface(rng, size, palette(rng), {"smooth": 0.0, "busy": 1.0}.get(kind, rng.uniform()))
        layers.append(Layer(colour * roundness(rng, alpha)[..., None], alpha, float(depth)))
    return layers


def _run(
    rng: np.random.Generator, size: int, paints: np.ndarray, backdrop: np.ndarray, span: tuple[float, float]
) -> list[Layer]:
    """Turn the backdrop into a wall of varying depth, or put such a ground before it; `span` = (near, far)."""
    line = np.linspace(0, 1, size, dtype=np.float32)
    if rng.uniform() < 0.4:
        tilt = rng.uniform(-0.4, 0.4)
        near = np.clip(np.abs(rng.integers(2) - line)[None, :] * (1 - abs(tilt)) + tilt * line[:, None], 0, 1)
        return [Layer(backdrop, depth=depth_between(near, *span[::-1]))]
    horizon = rng.uniform(-0.4, 0.6)
    near = np.clip((line - horizon) / (1 - horizon), 0, 1)[:, None].repeat(size, 1)
    colour = surface(rng, size, paints, rng.uniform(0.2, 1), horizon)
    ridge = size * (horizon + 0.01 * noise(rng, size, 0.8)[0])
    alpha = np.clip(np.arange(size, dtype=np.float32)[:, None] - ridge, 0, 1)
    return [Layer(backdrop, depth=span[1]), Layer(colour, alpha, depth_between(near, *span[::-1]))]


def _lens(rng: np.random.Generator, size: int, kind: str, layers: list[Layer]) -> Lens:
    """Focus a lens as the kind requires, and open it until the strongest defocus has a randomly drawn radius."""
    near, far = extremes(layers)
    share = rng.uniform(0.05, 0.95)
    focus = {
        "blurred": near * rng.uniform(0.3, 0.6),
        "back": far,
        "ramp": depth_between(share, far, near),
    }.get(kind, float(np.mean(layers[-1].depth)))
    radius = max(log_uniform(rng, *BLUR) * size / 320, clear_coc())
    if kind == "sharp":
        radius = rng.uniform(0.1, 0.7) * FOCUS_COC
    lens = normal_lens(float(focus), size)
    choose = min if kind == "blurred" else max  # there even the weakest defocus must be clear
    at = choose((near, far), key=lambda depth: abs(float(lens.circle_of_confusion(depth))))
    return lens.opened(radius, at)


def _out_of_doubt(layers: list[Layer], lens: Lens) -> list[Layer]:
    """Move flat layers that would be doubtful as a whole into the plane in focus.

    `composite` opens the lens further instead. Here objects stand so close together that opening further would blur the
    distant background far too much.
    """
    moved = []
    for layer in layers:
        unsharp = defocused(np.abs(lens.circle_of_confusion(layer.depth)))
        doubtful = np.ndim(layer.depth) == 0 and 0 < unsharp < 1
        moved.append(dataclasses.replace(layer, depth=lens.focus) if doubtful else layer)
    return moved


def _aperture(rng: np.random.Generator) -> Aperture:
    """Draw an aperture: round, with straight blades, or clipped by the lens barrel as at the side of a frame."""
    rim = max(0.0, rng.uniform(-0.5, 0.8))
    turn = rng.uniform(0, 2 * np.pi)
    form = rng.uniform()
    if form < 0.3:
        return partial(polygon, blades=int(rng.integers(5, 10)), rotation=turn, rim=rim)
    if form < 0.5:
        shift = rng.uniform(0.2, 0.8)
        return partial(cats_eye, shift=(shift * np.cos(turn), shift * np.sin(turn)), rim=rim)
    return partial(disc, rim=rim)
