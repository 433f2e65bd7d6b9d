"""Cuts a photograph into layers along roughly drawn masks, with soft outlines and with colour behind each object.

    (background, _), (person, alpha) = cut_layers(light, [mask])

Light is float32 H×W×3, linear RGB; a mask is bool H×W. The band between the certain inside and the certain outside of
a mask is the unknown region of a trimap (Chuang et al. 2001, "A Bayesian approach to digital matting").
"""

from __future__ import annotations

import cv2
import numpy as np

_REACH = 4  # pixels by which a drawn mask may miss the outline of its object
_SOFTNESS = 0.7  # pixels: sigma of a layer's edge; a hard edge from pixel to pixel would show as a seam


def cut_layers(light: np.ndarray, masks: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Cut a photo into layers (colour, alpha), back to front: the whole frame, then the objects in front of it.

    `masks` come back to front; each covers everything at its layer's depth or nearer. `colour` is float32 H×W×3,
    `alpha` float32 H×W, coverage 0 to 1, or None = the whole frame.

    A layer's colour is that of its own surface, continued beyond its outline. A blurred background must not contain
    light of the object in front of it, and the edge of a sharp object must not show a seam of the old background.
    """
    whole = np.ones(light.shape[:2], bool)
    outlines = [whole, *(_grown(fit_mask(mask, light, _REACH), -1) for mask in masks)]
    layers: list[tuple[np.ndarray, np.ndarray | None]] = []
    for outline, nearer in zip(outlines, [*outlines[1:], ~whole], strict=True):
        # drawn outlines miss some pixels of their objects, so layers behind keep a distance
        own = _grown(outline, -1) & ~_grown(nearer, 5)
        alpha = cv2.GaussianBlur(outline.astype(np.float32), (0, 0), _SOFTNESS) if layers else None
        layers.append((_continued(light, own), alpha))
    return layers


def fit_mask(mask: np.ndarray, light: np.ndarray, reach: int) -> np.ndarray:
    """Move the outline of a roughly drawn mask by up to `reach` pixels to where the colours change; return bool H×W.

    A pixel between the certain inside and the certain outside joins the side whose nearby colour is more similar; if
    both are alike, the mask decides. A median filter then removes specks of texture from the outline.
    """
    tones = np.sqrt(np.minimum(light, 1))  # roughly proportional to perceived brightness
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
    """Grow a mask, bool H×W, by this many pixels, or shrink it if negative; the frame's edge is no outline."""
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(by) + 1, 2 * abs(by) + 1))
    return (cv2.dilate if by > 0 else cv2.erode)(mask.astype(np.uint8), brush) > 0


def _continued(light: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Fill the pixels of H×W×3 that are not `own` with the mirror image, across the outline, of those that are.

    A mirror image keeps the surface's texture, so that a surface in focus stays in focus under a blurred edge.
    """
    known, (rows, columns) = own, np.indices(own.shape)
    bottom, right = own.shape[0] - 1, own.shape[1] - 1
    for _ in range(2):  # the second pass mirrors further what the first one has filled
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
    # the outline's staircase, mirrored, would be finer than any detail, so it is smoothed
    return np.where(known[..., None], light, cv2.GaussianBlur(light, (0, 0), 0.7))
