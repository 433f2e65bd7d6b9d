"""Job timing: measures seconds per photo by photo size, profile, engine and threads; counts parameters and MACs.

    python -m pipelines.jobs.timing [--sizes 320x320 640x480] [--threads 1 2] [--rounds 5]

Writes reports/timing/table.csv. Timed is the way from decoded pixels to the map at the photo's own size, as in `r2mrf
map`, one photo after the other; the median of several rounds counts. The weights are random, because they do not affect
the speed. On a busy machine the figures mean nothing, so the load is recorded with them, like machine and commit.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator

import numpy as np

from pipelines.project.folders import REPORTS, with_tuned_steps
from pipelines.project.stage import run
from pipelines.project.tables import write_csv
from pipelines.registry.provenance import provenance
from r2mrf.config import Config, Model
from r2mrf.engine_names import ENGINES
from r2mrf.engines.choose import create
from r2mrf.errors import UserError
from r2mrf.network.checkpoint import untrained
from r2mrf.network.cost import cost_of
from r2mrf.prediction.predictor import Predictor
from r2mrf.system.machine import cores, machine

TABLE = REPORTS / "timing" / "table.csv"
SIZES = ("320x320", "640x480", "1632x1224", "4000x3000", "6000x4000")  # 0.1, 0.3, 2, 12 and 24 megapixels
PROFILES = ("lite", "paper")


def timing(config: Config, sizes: list[str], threads: list[int], rounds: int) -> None:
    """Time both profiles and write the table.

    Raises:
        UserError: a size, a number of threads or a number of rounds is not valid.
    """
    if min(*threads, rounds) < 1:
        raise UserError("--threads and --rounds: give numbers of at least 1")
    photos = {size: _photo(size) for size in sizes}
    rows = []
    for profile in PROFILES:
        model = with_tuned_steps(config.model_copy(update={"profile": profile})).model
        for row in measure(profile, model, photos, threads, rounds):
            rows.append(row)
            print(", ".join(f"{name} {value}" for name, value in row.items() if value != ""))
    write_csv(TABLE, rows)


def measure(
    profile: str, model: Model, photos: dict[str, np.ndarray], threads: list[int], rounds: int
) -> Iterator[dict]:
    """Yield the rows of one profile."""
    checkpoint = untrained(model)
    parameters, macs = cost_of(model)
    known = {"profile": profile, "parameters": parameters, "gmacs": round(macs / 1e9, 4)}
    origin = {"machine": machine(), "commit": provenance()["git_commit"]}
    for engine in ENGINES:
        for count in threads:
            row = known | {"engine": engine, "precision": "", "threads": count}
            try:
                predictor = Predictor(checkpoint, create(engine, checkpoint, count))
            except UserError as error:
                yield row | {"size": "", "seconds": "", "load": "", **origin, "note": str(error)}
                continue
            row["precision"] = predictor.engine.precision
            for size, photo in photos.items():
                seconds = f"{_median_seconds(predictor, photo, rounds):.4g}"
                load = round(os.getloadavg()[0], 1)
                yield row | {"size": size, "seconds": seconds, "load": load, **origin, "note": ""}


def _median_seconds(predictor: Predictor, photo: np.ndarray, rounds: int) -> float:
    predictor(photo)  # not timed: the first run is slower
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        predictor(photo)
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds))


def _photo(size: str) -> np.ndarray:
    try:
        width, height = (int(side) for side in size.split("x"))
        if min(width, height) < 1:
            raise ValueError
    except ValueError:
        raise UserError(f"--sizes {size}: give WIDTHxHEIGHT, like 640x480") from None
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def main() -> None:
    """Run the job from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="WxH")
    parser.add_argument("--threads", nargs="+", type=int, default=sorted({1, cores()}), metavar="N")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    options = parser.parse_args()
    run(lambda config: timing(config, options.sizes, options.threads, options.rounds))


if __name__ == "__main__":
    main()
