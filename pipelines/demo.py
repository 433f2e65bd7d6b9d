"""What a finished `dvc repro` has made, and where it lies: the last words of `make demo`."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.stage import MODEL, REPORTS, run
from r2mrf.config import Config


def show(config: Config) -> None:
    library = Path("library")
    summary = json.loads((library / "summary.json").read_text())
    figures = json.loads((REPORTS / "evaluate" / "metrics.json").read_text())
    shards = sorted(library.glob(f"scores/shard-*-{summary['fingerprint']}.parquet"))
    print("\nphoto                        blurred  in focus (x0 y0 x1 y1)   sure  verdict")
    for row in pa.concat_tables([pq.read_table(shard) for shard in shards]).slice(0, 20).to_pylist():
        name = Path(row["path"]).name
        if row["status"] == "ok":
            box = " ".join(f"{row[f'focus_{corner}']:5d}" for corner in ("x0", "y0", "x1", "y1"))
            print(f"{name:28} {row['blur_fraction']:6.1%}  {box}  {row['confidence']:5.2f}  {row['verdict']}")
        else:
            print(f"{name:28} failed: {row['error']}")
    print(f"\nmodel      {MODEL}  ({summary['model']})")
    quality = f"on the test pairs: F {figures['f_05']:.3f}, MAE {figures['mae']:.3f}"
    print(f"figures    {REPORTS}/evaluate/metrics.json  ({quality})")
    print(f"pictures   {REPORTS}/evaluate/gallery.png, curves.png; {REPORTS}/train/history.png")
    print(f"table      {library}/scores/*.parquet  ({summary['ok']} photos scored, {summary['failed']} failed)")
    print(f"maps       {library}/maps/*.png")
    print(f"runs       mlflow ui --backend-store-uri {config.tracking.uri}")
    print("your own   .venv/bin/r2mrf map PHOTO -o map.png")


if __name__ == "__main__":
    run(show)
