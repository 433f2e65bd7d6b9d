"""Stage augment: 16 label-preserving variants of every training pair, as Parquet shards.

python -m pipelines.augment        # data/prepared -> data/augmented: 604 pairs -> 9,664 rows
"""

from __future__ import annotations

import pyarrow.parquet as pq

from pipelines.build import build
from pipelines.stage import AUGMENTED, PREPARED, run
from r2mrf import shards
from r2mrf.config import Config
from r2mrf.errors import UserError
from r2mrf.fingerprint import fingerprint, of_code, of_files


def augment(config: Config) -> None:
    sources = sorted(PREPARED.glob("train-*.parquet"))
    if not sources:
        raise UserError(f"{PREPARED} holds no training pairs: run `dvc repro prepare` first")
    options, seed = config.augment, config.seed

    def make(job: dict) -> list[dict]:
        from r2mrf.variants import variants

        pairs = pq.read_table(job["source"]).to_pylist()
        return [
            row for pair in pairs for row in variants(pair["source_id"], pair["image"], pair["mask"], seed, options)
        ]

    jobs = {
        path.stem: {
            "source": str(path.resolve()),
            "count": pq.read_metadata(path).num_rows * options.variants,
        }
        for path in sources
    }
    key = fingerprint(seed, options.model_dump(), of_files(sources), of_code("variants", "images", "shards"))
    count = build(AUGMENTED, jobs, make, shards.VARIANTS, key)
    print(f"{AUGMENTED}: {count} training images of {count // options.variants} pairs")


if __name__ == "__main__":
    run(augment)
