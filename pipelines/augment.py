"""Stage augment: 16 label-preserving variants of every training pair, as Parquet shards.

    python -m pipelines.augment        # data/prepared -> data/augmented: 604 pairs -> 9,664 rows

Each shard of pairs becomes one shard of variants.
"""

from __future__ import annotations

from pathlib import Path

from pipelines.data.build import ShardTask, build
from pipelines.data.card import variants_card
from pipelines.project.folders import AUGMENTED, PREPARED, REPORTS
from pipelines.project.stage import main
from pipelines.storage.outputs import Folder, folder, local_copy
from r2mrf.config import Config
from r2mrf.data import shards
from r2mrf.errors import UserError
from r2mrf.system.fingerprint import fingerprint, of_code, of_files


def augment(config: Config) -> None:
    """Make the variants of all training pairs, and their data card."""
    pairs = folder(PREPARED)
    if not list(pairs.local_copy().glob("train-*.parquet")):
        raise UserError(f"{PREPARED} holds no training pairs: run `dvc repro prepare` first")
    count = build_variants(pairs, AUGMENTED, config)
    variants_card(local_copy(AUGMENTED), REPORTS / "augment")
    print(f"{AUGMENTED}: {count} training images of {count // config.augment.variants} pairs")


def build_variants(sources: Folder, target: Path, config: Config) -> int:
    """Write the variants of all training pairs in `sources` to `target`; return their number."""
    options, seed = config.augment, config.seed
    paths = sorted(sources.local_copy().glob("train-*.parquet"))

    def rows(name: str) -> list[dict]:
        from r2mrf.data.variants import variants  # albumentations takes a second to import

        pairs = shards.read_shard(sources.local_copy() / name, ["source_id", "image", "mask"]).to_pylist()
        return [row for p in pairs for row in variants(p["source_id"], p["image"], p["mask"], seed, options)]

    contents, rules = of_files(paths), [seed, options.model_dump(), of_code("data.variants", "data.shards")]
    tasks = [
        ShardTask(
            name=path.stem,
            arguments=path.name,
            count=shards.read_shard(path, ["source_id"]).num_rows * options.variants,
            fingerprint=fingerprint(contents[path.name], rules),
        )
        for path in paths
    ]
    return build(target, tasks, rows, shards.VARIANTS, config.storage)


if __name__ == "__main__":
    main(augment, uses_ray=True)
