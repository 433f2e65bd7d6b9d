"""The files that `r2mrf score` leaves in a folder: their contents, the rows of a table, its summary."""

import io
import json
from pathlib import Path

import pyarrow.parquet as pq

Files = dict[Path, tuple[bytes, int]]  # content and time of every file, by its path below the folder


def files_of(out: Path) -> Files:
    found = sorted(path for path in out.rglob("*") if path.is_file())
    return {path.relative_to(out): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def table_of(files: Files, fingerprint: str) -> list[dict]:
    shards = [content for path, (content, _) in files.items() if path.match(f"scores/shard-*-{fingerprint}.parquet")]
    return [row for shard in shards for row in pq.read_table(io.BytesIO(shard)).to_pylist()]


def summary_of(files: Files) -> dict:
    return json.loads(files[Path("summary.json")][0])
