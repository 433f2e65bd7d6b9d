"""A scored folder is read back: its rows, with verdicts by any thresholds."""

import json
import math
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.report.scored_folder import read
from tests.support.scored_folder import FINGERPRINT, failed, ok, save_table


def verdicts(folder: Path, **thresholds: float) -> list[str | None]:
    return [row.verdict for row in read(folder, **thresholds).rows]


def test_verdicts_by_other_thresholds(here):
    rows = [ok(f"/p/{i}.jpg", blur, focus_area=0) for i, blur in enumerate((0.1, 0.3, 0.8, 0.9))]
    save_table(here, [*rows, ok("/p/8.jpg", 0.1, contrast=1.0), failed("/p/9.jpg")])
    assert verdicts(here) == ["sharp", "partial", "partial", "blurred", "flat", None]
    assert verdicts(here, sharp_below=0.4) == ["sharp", "sharp", "partial", "blurred", "flat", None]
    assert verdicts(here, sharp_below=0.0, blurred_above=0.2) == ["partial", *["blurred"] * 3, "flat", None]


def test_rows_of_the_run_that_the_summary_names(here):
    save_table(here, [ok("/p/old.jpg")], fingerprint="aaaa")
    save_table(here, [ok("/p/b.jpg"), ok("/p/a.jpg")])
    assert [row.path for row in read(here).rows] == ["/p/a.jpg", "/p/b.jpg"]


def spoil(folder: Path, how: str) -> None:
    shard, summary = folder / "scores" / f"shard-00000-{FINGERPRINT}.parquet", folder / "summary.json"
    if how == "no summary":
        summary.unlink()
    elif how == "summary cut":
        summary.write_text('{"total')
    elif how == "strange fingerprint":
        summary.write_text(json.dumps({"fingerprint": "../../*"}))
    elif how == "other fingerprint":
        summary.write_text(json.dumps({"fingerprint": "beef"}))
    elif how == "limit of text":
        summary.write_text(json.dumps({"fingerprint": FINGERPRINT, "sharp_below": "0.1"}))
    elif how == "limit of nothing":
        summary.write_text(json.dumps({"fingerprint": FINGERPRINT, "blurred_above": None}))
    elif how == "summary deep":
        summary.write_text("[" * 200_000)
    elif how == "key twice":
        summary.write_text(f'{{"fingerprint": "{FINGERPRINT}", "fingerprint": "beef"}}')
    elif how == "a pipe":
        summary.unlink()
        os.mkfifo(summary)
    elif how == "shard a pipe":
        shard.unlink()
        os.mkfifo(shard)
    elif how == "shard cut":
        shard.write_bytes(shard.read_bytes()[:-9])
    elif how == "older table":
        pq.write_table(pq.read_table(shard).drop_columns(["contrast"]), shard)
    elif how == "not a number":
        table = pq.read_table(shard)
        values = pa.array([math.nan] * len(table))
        pq.write_table(table.set_column(table.column_names.index("confidence"), "confidence", [values]), shard)
    elif how in ("words for numbers", "nothing measured"):
        table = pq.read_table(shard)
        values = ["wide"] * len(table) if how == "words for numbers" else pa.nulls(len(table), pa.int32())
        table = table.set_column(table.column_names.index("width"), "width", [values])
        pq.write_table(table.replace_schema_metadata(None), shard)


@pytest.mark.parametrize(
    ("how", "parts"),
    [
        ("no summary", ["summary.json: no such file", "r2mrf score"]),
        ("summary cut", ["summary.json: cannot be read", "score` again"]),
        ("strange fingerprint", ["summary.json: it names no table"]),
        ("limit of text", ["summary.json: sharp_below is not a number"]),
        ("limit of nothing", ["summary.json: blurred_above is not a number"]),
        ("summary deep", ["summary.json: cannot be read", "nested too deep"]),
        ("key twice", ["summary.json: cannot be read", "'fingerprint' occurs twice"]),
        ("a pipe", ["summary.json: cannot be read", "pipe"]),
        ("other fingerprint", ["scores: the table of the run"]),
        ("shard cut", [f"shard-00000-{FINGERPRINT}.parquet: is damaged", "score` again"]),
        ("shard a pipe", [f"shard-00000-{FINGERPRINT}.parquet", "pipe"]),
        ("words for numbers", [f"shard-00000-{FINGERPRINT}.parquet: has columns of other types", "score again"]),
        ("nothing measured", [f"shard-00000-{FINGERPRINT}.parquet: has scored photos without width", "score again"]),
        (
            "not a number",
            [f"shard-00000-{FINGERPRINT}.parquet: has values in confidence that are no numbers", "score again"],
        ),
        ("older table", [f"shard-00000-{FINGERPRINT}.parquet: lacks contrast", "score again"]),
    ],
)
def test_no_usable_table(here, report, how, parts):
    spoil(save_table(here, [ok("/p/a.jpg"), ok("/p/b.jpg")]), how)
    status, out, err = report(here)
    assert (status, out, len(err)) == (2, [], 1)
    for part in parts:
        assert part in err[0]
    assert not (here / "report.html").exists()


@pytest.mark.parametrize("thresholds", [(0.9, 0.8), (0.5, 0.5), (-0.1, 0.5), (0.5, 1.1), ("nan", 0.5), (0.1, "nan")])
def test_thresholds_that_make_no_sense(here, report, thresholds):
    save_table(here, [ok("/p/a.jpg")])
    status, out, err = report(here, f"--sharp-below={thresholds[0]}", f"--blurred-above={thresholds[1]}")
    assert (status, out, len(err)) == (2, [], 1)
    assert "give thresholds from 0 to 1" in err[0]
