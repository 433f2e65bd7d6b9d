"""The held-out pairs: the name of their set, and the counts of a network's maps on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.project.folders import PREPARED
from pipelines.storage.outputs import local_copy
from r2mrf.system.fingerprint import fingerprint

if TYPE_CHECKING:  # where no row of an ablation is run, torch and Ray are not needed
    from r2mrf.evaluation.metrics import Counts
    from r2mrf.training.trainer import Trainer

BRANCHES = tuple(f"O{branch}" for branch in range(1, 6))


def name_of(pairs: pa.Table) -> str:
    """Names the test set: only figures of one set may be compared."""
    return fingerprint(pairs["sha256"].to_pylist())


def branch_counts(trainer: Trainer) -> dict[str, Counts]:
    """Counts on the test pairs of the fused map, and of each branch's own output after its last step, O1 … O5."""
    import torch

    from r2mrf.data import shards
    from r2mrf.evaluation.metrics import Counts
    from r2mrf.imaging import images
    from r2mrf.imaging.maps import to_uint8

    network, preprocess = trainer.averaged_network().cpu(), trainer.preprocess
    counts = {name: Counts() for name in ("fused", *BRANCHES)}
    for pair in shards.read(local_copy(PREPARED), "test-*.parquet", columns=["image", "mask"]).to_pylist():
        rgb, mask = images.decode(pair["image"]), images.decode_mask(pair["mask"])
        x = torch.from_numpy(preprocess.normalise(preprocess.shrink(rgb)[None])).contiguous(
            memory_format=torch.channels_last
        )
        with torch.inference_mode():
            outputs = network(x)
        for name, logits in zip(counts, [outputs.fused[0, 0], *outputs.sides[-1][0]], strict=True):
            defocus = preprocess.expand(logits.sigmoid().numpy(), *mask.shape)
            counts[name].add(to_uint8(defocus), mask)
    return counts
