"""Stage augment: 16 label-preserving variants of every training pair, as Parquet shards.

    python -m pipelines.augment        # data/prepared -> data/augmented: 604 pairs -> 9,664 rows

A shard of pairs becomes a shard of variants.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from pipelines.build import Job, build
from pipelines.card import variants_card
from pipelines.stage import AUGMENTED, PREPARED, REPORTS, run
from r2mrf import shards
from r2mrf.config import Config
from r2mrf.errors import UserError
from r2mrf.fingerprint import fingerprint, of_code, of_files


def augment(config: Config) -> None:
    sources = sorted(PREPARED.glob("train-*.parquet"))
    if not sources:
        raise UserError(f"{PREPARED} holds no training pairs: run `dvc repro prepare` first")
    count = build_variants(sources, AUGMENTED, config)
    variants_card(AUGMENTED, REPORTS / "augment")
    print(f"{AUGMENTED}: {count} training images of {count // config.augment.variants} pairs")


def build_variants(sources: list[Path], folder: Path, config: Config) -> int:
    """Variants of all pairs in `sources` (shards of pairs) into `folder`; returns their number."""
    options, seed = config.augment, config.seed

    def rows(source: str) -> list[dict]:
        from r2mrf.variants import variants  # albumentations takes a second to import

        pairs = pq.read_table(source, columns=["source_id", "image", "mask"]).to_pylist()
        return [row for p in pairs for row in variants(p["source_id"], p["image"], p["mask"], seed, options)]

    contents, rules = of_files(sources), [seed, options.model_dump(), of_code("variants", "shards")]
    jobs = [
        Job(
            name=path.stem,
            arguments=str(path.resolve()),
            count=pq.read_metadata(path).num_rows * options.variants,
            fingerprint=fingerprint(contents[path.name], rules),
        )
        for path in sources
    ]
    return build(folder, jobs, rows, shards.VARIANTS)


if __name__ == "__main__":
    run(augment)
