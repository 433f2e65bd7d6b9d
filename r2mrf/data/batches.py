"""Turns training images into batches. A batch's images, crops and flips are a pure function of (seed, step)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from r2mrf.errors import UserError
from r2mrf.imaging import images
from r2mrf.imaging.preprocess import Preprocess
from r2mrf.imaging.resize import resize


class Batch(NamedTuple):
    """`photos`: normalised B×3×H×W; `masks`: B×1×H×W in [0, 1], 1 = defocused."""

    photos: Tensor
    masks: Tensor


@lru_cache(maxsize=8)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(count)


def batch_positions(step: int, batch: int, rank: int = 0, world: int = 1) -> range:
    """Return the positions in the endless sequence of samples that worker `rank` of `world` takes in one step."""
    return range(step * batch + rank, (step + 1) * batch, world)


def row_at(position: int, seed: int, count: int) -> int:
    """Return the row at a position of the endless sequence, in which every epoch holds each of `count` rows once."""
    epoch, place = divmod(position, count)
    return int(_order(seed, epoch, count)[place])


def table_at(position: int, shares: Sequence[float]) -> tuple[int, int]:
    """Choose the table for a position of the endless sequence; return its index and the position within that table.

    Table 0 is the main one. `shares` holds the share of the whole sequence that each further table (1, 2, …) gets.
    """
    left = 1.0
    for table, share in enumerate(shares, 1):
        part = share / left  # of the positions that the tables before this one have left
        before, after = math.floor(position * part), math.floor((position + 1) * part)
        if after > before:
            return table, before
        position, left = position - before, left - share
    return 0, position


def split(table: pa.Table, held_back: int, seed: int) -> tuple[pa.Table, pa.Table]:
    """Split a table into training rows and validation rows.

    The validation rows are the unaltered photos of `held_back` randomly chosen sources, none of whose variants is
    trained on. If one source is added or removed, other sources are held back. So a run that starts from a model
    trained on another table holds back pairs that this model may have seen.

    Raises:
        UserError: no row is left to train on.
    """
    sources = sorted(pc.unique(table["source_id"]).to_pylist())
    if held_back >= len(sources):
        raise UserError(f"train.validation {held_back} leaves none of {len(sources)} pairs to train on: lower it")
    chosen = np.random.default_rng([seed, 2]).choice(sources, held_back, replace=False)
    held = pc.is_in(table["source_id"], pa.array(chosen, pa.string()))
    return table.filter(pc.invert(held)), table.filter(pc.and_(held, pc.equal(table["variant"], 0)))


class Samples:
    """Samples of the augmented shards, decoded on demand.

    Args:
        table: the main table, with encoded images in the columns image and mask.
        preprocess: the network's preprocessing; photos are shrunk to its `size` at most.
        crop: side of the square crop to train on, in pixels.
        seed: the run's seed.
        others: further tables, each with its share of the samples; `table` provides the rest.

    Raises:
        ValueError: the crop is larger than the network's input, or a table is empty.
    """

    def __init__(
        self,
        table: pa.Table,
        preprocess: Preprocess,
        crop: int,
        seed: int,
        others: Sequence[tuple[pa.Table, float]] = (),
    ):
        if not 0 < crop <= preprocess.size:
            raise ValueError(
                f"crop {crop} must not exceed the network's input size {preprocess.size}: lower train.crop"
            )
        self._tables = [table, *(other for other, _ in others)]
        if not all(each.num_rows for each in self._tables):
            raise ValueError("no training image is left: lower train.validation, or add pairs")
        self._shares = [share for _, share in others]
        self._preprocess, self._crop, self._seed = preprocess, crop, seed

    def batch(self, positions: range) -> Batch:
        """Return the samples at these positions of the sequence, randomly cropped and flipped."""
        pairs = [self._sample(position) for position in positions]
        photos = np.stack([photo for photo, _ in pairs])
        masks = np.stack([mask for _, mask in pairs])[:, None]
        return Batch(_photos(photos, self._preprocess), torch.from_numpy(masks.astype(np.float32) / 255))

    def _sample(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        index, place = table_at(position, self._shares)
        table, seed = self._tables[index], self._seed + index
        row = row_at(place, seed, table.num_rows)
        photo = shrink_to(images.decode(table["image"][row].as_py()), self._preprocess.size)
        mask = shrink_to(images.decode_mask(table["mask"][row].as_py()), self._preprocess.size)
        rng = np.random.default_rng([seed, 1, place])
        return _crop(photo, mask, self._crop, rng)


def shrink_to(pixels: np.ndarray, size: int) -> np.ndarray:
    """Shrink each side of uint8 H×W or H×W×3 that is longer than `size` to it.

    Nothing is enlarged, because an enlarged sharp photo is no longer sharp. `Preprocess.shrink`, which prediction uses,
    enlarges the shorter side if only the longer one exceeds `size`.
    """
    h, w = pixels.shape[:2]
    return resize(pixels, min(h, size), min(w, size))


def validation_batch(table: pa.Table, rows: range, preprocess: Preprocess) -> tuple[Tensor, list[np.ndarray]]:
    """Return photos as the network sees them in prediction (normalised B×3×S×S), and their masks at full size."""
    photos = [preprocess.shrink(images.decode(table["image"][i].as_py())) for i in rows]
    masks = [images.decode_mask(table["mask"][i].as_py()) for i in rows]
    return _photos(np.stack(photos), preprocess), masks


def _photos(photos: np.ndarray, preprocess: Preprocess) -> Tensor:
    return torch.from_numpy(preprocess.normalise(photos)).contiguous(memory_format=torch.channels_last)


def _crop(photo: np.ndarray, mask: np.ndarray, side: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    h, w = mask.shape
    if min(h, w) < side:  # image and mask are both padded by reflection, so that no label is made up
        pad = (0, max(side - h, 0), 0, max(side - w, 0), cv2.BORDER_REFLECT)
        photo, mask = cv2.copyMakeBorder(photo, *pad), cv2.copyMakeBorder(mask, *pad)
        h, w = mask.shape
    y, x = rng.integers(h - side + 1), rng.integers(w - side + 1)
    photo, mask = photo[y : y + side, x : x + side], mask[y : y + side, x : x + side]
    return (photo[:, ::-1], mask[:, ::-1]) if rng.random() < 0.5 else (photo, mask)
