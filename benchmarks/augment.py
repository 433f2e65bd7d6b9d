"""Building the training images with the stage, against a bare loop of the same transforms on the same cores.

    python -m benchmarks.augment [PAIRS]        # after `dvc repro prepare`; 604 pairs by default

Both sides read the same pairs and make the same variants in the same run. The bare side is a process pool that
decodes, transforms and encodes, and keeps nothing: no shards, no fingerprints, no Ray.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import tempfile
import time
from pathlib import Path

import cv2
import pyarrow.parquet as pq

from pipelines.augment import build_variants
from pipelines.cluster import connect, cores
from pipelines.stage import PREPARED
from pipelines.storage import Folder
from r2mrf import shards
from r2mrf.config import Config, load
from r2mrf.variants import variants

REPEATS = 3


def main() -> None:
    config = load()
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 604
    whole, without_start = [], []
    with tempfile.TemporaryDirectory() as folder:
        sources = _sources(Path(folder) / "pairs", wanted)
        for repeat in range(REPEATS):
            images, bare = _timed(lambda: _bare(sources, config))
            built, stage = _timed(
                lambda r=repeat: build_variants(Folder(sources[0].parent, None), Path(folder) / f"out-{r}", config)
            )
            _, start = _timed(_start_and_stop)
            assert images == built
            whole.append(bare / stage)
            without_start.append(bare / (stage - start))
            print(f"bare {bare:5.1f} s, stage {stage:5.1f} s, of it Ray's start and stop {start:4.1f} s")
    print(f"{images} images on {cores()} cores, images a second of the stage over those of the bare loop:")
    print(f"  with Ray's start and stop     {_spread(whole)}")
    print(f"  without them                  {_spread(without_start)}")


def _start_and_stop() -> int:
    with connect(logical_cpus=cores()):
        return 0


def _spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _sources(folder: Path, wanted: int) -> list[Path]:
    """The prepared training pairs, cut to the wanted number, as shards of their own."""
    folder.mkdir()
    table = shards.read(PREPARED, "train-*.parquet").slice(0, wanted)
    for start in range(0, table.num_rows, 32):
        pq.write_table(table.slice(start, 32), folder / f"train-{start // 32:05d}.parquet")
    return sorted(folder.glob("*.parquet"))


def _bare(sources: list[Path], config: Config) -> int:
    with multiprocessing.get_context("spawn").Pool(cores()) as pool:
        return sum(pool.imap_unordered(_loop, [(path, config) for path in sources]))


def _loop(job: tuple[Path, Config]) -> int:
    path, config = job
    cv2.setNumThreads(1)
    pairs = pq.read_table(path).to_pylist()
    made = [variants(p["source_id"], p["image"], p["mask"], config.seed, config.augment) for p in pairs]
    return sum(map(len, made))


def _timed(run) -> tuple[int, float]:
    began = time.perf_counter()
    return run(), time.perf_counter() - began


if __name__ == "__main__":
    main()
