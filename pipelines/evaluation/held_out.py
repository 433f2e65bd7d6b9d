"""Held-out pairs: the name of their set, their pixels, and the counts of a network's maps of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from r2mrf.imaging import images
from r2mrf.system.fingerprint import fingerprint

if TYPE_CHECKING:  # unless a row of an ablation is run, torch and Ray are not needed
    from r2mrf.evaluation.metrics import Counts
    from r2mrf.network.checkpoint import Checkpoint

FIGURES = ("mae", "f_max", "f_adaptive", "f_05", "iou")  # of a method or a row on a set of pairs, in tables
BRANCHES = tuple(f"O{branch}" for branch in range(1, 6))


def name_of(pairs: pa.Table) -> str:
    """Return the name of a set of pairs, made from their hashes. Only figures on the same set may be compared."""
    return fingerprint(pairs["sha256"].to_pylist())


def decoded(pairs: pa.Table) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the photo (uint8 H×W×3) and mask (uint8 H×W, white = defocused) of each row."""
    for batch in pairs.select(["image", "mask"]).to_batches(max_chunksize=16):
        for pair in batch.to_pylist():
            yield images.decode(pair["image"]), images.decode_mask(pair["mask"])


def branch_counts(trained: Checkpoint, pairs: pa.Table) -> dict[str, Counts]:
    """Return the counts of the fused map, and of each branch's own output after its last step, O1 … O5."""
    import torch

    from r2mrf.evaluation.metrics import Counts
    from r2mrf.imaging.maps import to_uint8

    network, preprocess = trained.network.eval(), trained.preprocess
    counts = {name: Counts() for name in ("fused", *BRANCHES)}
    for rgb, mask in decoded(pairs):
        x = torch.from_numpy(preprocess.normalise(preprocess.shrink(rgb)[None])).contiguous(
            memory_format=torch.channels_last
        )
        with torch.inference_mode():
            outputs = network(x)
        for name, logits in zip(counts, [outputs.fused[0, 0], *outputs.sides[-1][0]], strict=True):
            defocus = preprocess.expand(logits.sigmoid().numpy(), *mask.shape)
            counts[name].add(to_uint8(defocus), mask)
    return counts
