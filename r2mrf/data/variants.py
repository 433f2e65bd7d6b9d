"""The 16 variants of a training pair: flips, small rotations and slight shrinking (paper, section 4.1).

Only transforms that keep every label true are used:
- Rotations crop the corners away, because corners filled with black would be labelled sharp.
- Photos shrink a little and are never enlarged. An enlarged sharp photo is no longer sharp, and a photo that shrinks
  a lot no longer shows its blur, so the range ends at `min_scale` (at 0.85, a blur of 2 pixels becomes 1.7).
- Nothing blurs, sharpens, denoises or changes colour.

Masks are interpolated linearly. This turns their edges grey, which means doubt and is not trained on.
"""

from __future__ import annotations

import hashlib
import json

import albumentations as A
import cv2
import numpy as np

from r2mrf.config import Augment
from r2mrf.imaging import images


def variants(source_id: str, image: bytes, mask: bytes, seed: int, augment: Augment) -> list[dict]:
    """Make all variants of one pair, as rows of `shards.VARIANTS`; row 0 is the pair itself, byte for byte.

    Args:
        source_id: name of the pair.
        image, mask: the encoded photo, and its mask (PNG, 255 = defocused) at the same size.
        seed: the run's seed.

    Raises:
        images.ImageError: photo or mask cannot be decoded.
        ValueError: photo and mask differ in size.
    """
    photo, labels = images.decode(image), images.decode_mask(mask)
    if photo.shape[:2] != labels.shape:
        raise ValueError(f"{source_id}: photo {photo.shape[:2]} and mask {labels.shape} differ in size")
    rows = [_row(source_id, 0, image, mask, "null")]
    for variant in range(1, augment.variants):
        transform = draw(source_id, variant, photo.shape[:2], seed, augment)
        out = transform(image=photo, mask=labels)
        encoded = images.encode_jpeg(out["image"]), images.encode_png(out["mask"])
        rows.append(_row(source_id, variant, *encoded, json.dumps(A.to_dict(transform), sort_keys=True)))
    return rows


def draw(source_id: str, variant: int, size: tuple[int, int], seed: int, augment: Augment) -> A.Compose:
    """Draw the transform of a variant (1, 2, …) from (seed, source, variant) alone; `size` = (height, width)."""
    digest = hashlib.sha256(f"{seed}/{source_id}/{variant}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    angle = rng.uniform(-augment.max_rotation, augment.max_rotation)
    scale = rng.uniform(augment.min_scale, 1)
    # the crop is rounded outwards, so a corner pixel may lie just outside the photo: it is filled by reflection
    edges = {"border_mode": cv2.BORDER_REFLECT_101, "crop_border": True}
    steps: list[A.BasicTransform] = [
        A.Rotate((angle, angle), cv2.INTER_CUBIC, mask_interpolation=cv2.INTER_LINEAR, **edges, p=1),
        A.RandomScale((scale - 1, scale - 1), cv2.INTER_AREA, mask_interpolation=cv2.INTER_AREA, p=1),
    ]
    if variant % 2:
        steps.insert(0, A.HorizontalFlip(p=1))
    return A.Compose(steps)


def _row(source_id: str, variant: int, image: bytes, mask: bytes, transform: str) -> dict:
    return {
        "source_id": source_id,
        "variant": variant,
        "image": image,
        "mask": mask,
        "transform": transform,
        "sha256": hashlib.sha256(image + mask).hexdigest(),
    }
