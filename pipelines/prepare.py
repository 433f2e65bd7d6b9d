"""Stage prepare: checks photos and masks, unifies their polarity, splits them, and writes them as Parquet shards.

python -m pipelines.prepare        # data.source of params.yaml -> data/prepared, reports/prepare
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.data.build import ShardTask, build
from pipelines.data.card import pairs_card
from pipelines.data.sources import Source, open_source
from pipelines.project.folders import PREPARED, REPORTS
from pipelines.project.stage import main
from pipelines.storage.outputs import local_copy
from r2mrf.config import Config
from r2mrf.data import shards
from r2mrf.errors import UserError
from r2mrf.system.fingerprint import fingerprint

PAIRS_PER_SHARD = 32


def prepare(config: Config) -> None:
    """Make the pairs of the source that `data.source` names, and their data card.

    Raises:
        UserError: the source cannot be used, or has no pairs for training or none for testing.
    """
    source = open_source(config)
    if missing := {"train", "test"} - {item["split"] for item in source.items}:
        raise UserError(
            f"data.source {config.data.source} has no {missing.pop()} pairs, but the stages need both kinds: "
            "for a set that is only for testing, use `r2mrf map` and `r2mrf evaluate`"
        )

    def rows(items: list[dict]) -> list[dict]:
        return [source.row(item) for item in items]

    count = build(PREPARED, list(_tasks(source)), rows, shards.PAIRS, config.storage)
    pairs_card(local_copy(PREPARED), REPORTS / "prepare")
    print(f"{PREPARED}: {count} pairs")


def _tasks(source: Source) -> Iterator[ShardTask]:
    for split in ("train", "test"):
        group = [item for item in source.items if item["split"] == split]
        for start in range(0, len(group), PAIRS_PER_SHARD):
            items = group[start : start + PAIRS_PER_SHARD]
            name = f"{split}-{start // PAIRS_PER_SHARD:05d}"
            yield ShardTask(name, items, len(items), fingerprint(source.rules, items))


if __name__ == "__main__":
    main(prepare, uses_ray=True)
