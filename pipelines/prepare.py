"""Stage prepare: photos with masks, checked, of one polarity, split into training and test, as Parquet shards.

python -m pipelines.prepare        # data.source of params.yaml -> data/prepared
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipelines.build import build
from pipelines.cluster import cores
from pipelines.stage import PREPARED, run
from r2mrf import images, shards
from r2mrf.config import Config
from r2mrf.datasets import DataError, Pair, check_counts, check_facts, examine, match_pairs, read_pair
from r2mrf.errors import UserError
from r2mrf.fingerprint import fingerprint, of_code

PAIRS_PER_SHARD = 32


def prepare(config: Config) -> None:
    jobs, make, origin = _synthetic(config) if config.data.source == "synthetic" else _published(config)
    splits = {job["split"] for job in jobs}
    if missing := {"train", "test"} - splits:
        raise UserError(f"data.source {config.data.source} gives no {missing.pop()} pairs; the stages need both")
    key = fingerprint(origin, of_code("optics", "scenes", "surfaces", "images", "pairs", "shards"))
    count = build(PREPARED, dict(_sharded(jobs)), make, shards.PAIRS, key)
    print(f"{PREPARED}: {count} pairs")


def _synthetic(config: Config):
    jobs = [
        # the seed of a scene names it: no scene can stand on both sides of the split
        {"split": split, "seed": config.seed * 1_000_000 + offset + i}
        for split, offset, count in (("train", 0, config.data.train), ("test", 500_000, config.data.test))
        for i in range(count)
    ]
    size = config.data.size

    def make(job: dict) -> list[dict]:
        from r2mrf.scenes import render_scene

        rows = []
        for item in job["items"]:
            photo = render_scene(item["seed"], size)
            name = f"scene-{item['seed']}"
            rows.append(_row(name, item["split"], photo.kind, photo.jpeg, images.encode_png(photo.mask)))
        return rows

    return jobs, make, ["synthetic", config.seed, size]


def _published(config: Config):
    pairs = {pair.id: pair for pair in _checked(config)}
    jobs = [{"split": pair.split, "id": pair.id} for pair in pairs.values()]

    def make(job: dict) -> list[dict]:
        chosen = [pairs[item["id"]] for item in job["items"]]
        return [_row(pair.id, pair.split, "photo", *read_pair(pair)) for pair in chosen]

    files = [file for pair in pairs.values() for file in (pair.image, pair.mask)]
    return jobs, make, [config.data.model_dump(), {str(file): _sha256(file) for file in files}]


def _checked(config: Config) -> list[Pair]:
    """The set's pairs, all read and judged once before anything is built from them."""
    pairs, problems = match_pairs(config.data)
    with ThreadPoolExecutor(cores()) as pool:
        facts = [facts for _, _, facts in pool.map(examine, pairs)]
    errors, warnings = check_facts(facts)
    for warning in warnings + check_counts(pairs, config.data.source):
        print(f"warning: {warning}", file=sys.stderr)
    if problems + errors:
        raise DataError(*problems, *errors)
    return pairs


def _sharded(jobs: list[dict]) -> Iterator[tuple[str, dict]]:
    for split in ("train", "test"):
        group = [job for job in jobs if job["split"] == split]
        for start in range(0, len(group), PAIRS_PER_SHARD):
            items = group[start : start + PAIRS_PER_SHARD]
            yield f"{split}-{start // PAIRS_PER_SHARD:05d}", {"items": items, "count": len(items)}


def _row(source_id: str, split: str, kind: str, image: bytes, mask: bytes) -> dict:
    digest = hashlib.sha256(image + mask).hexdigest()
    return {
        "source_id": source_id,
        "split": split,
        "kind": kind,
        "image": image,
        "mask": mask,
        "sha256": digest,
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    run(prepare)
