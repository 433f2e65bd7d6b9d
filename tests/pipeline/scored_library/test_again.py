"""Scoring a library again does only what is missing, says why it does more, and never mixes two models' rows."""

import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.library.columns import ADDED
from pipelines.report.scored_folder import read
from pipelines.scoring import summary as summaries
from tests.support.command import command
from tests.support.scored_files import files_of, summary_of, table_of


def test_again_nothing_is_done_and_no_figure_changes(story):
    first, again = story.files["first"], story.files["again"]
    assert {path: content for path, (content, _) in again.items()} == {p: content for p, (content, _) in first.items()}
    untouched = [path for path in first if path != Path("summary.json")]
    assert [again[path][1] for path in untouched] == [first[path][1] for path in untouched]
    assert story.runs["again"].status == 1  # what failed is still told
    assert "score:" not in "".join(story.runs["again"].err)  # no progress, since nothing ran


def test_after_a_kill_the_rest_is_done_and_a_new_photo_added(story):
    before, after = story.files["again"], story.files["grown"]
    redone, added = sorted(path for path in after if path.match("scores/shard-*.parquet"))
    assert after[redone][0] == before[redone][0]  # byte for byte what it was
    assert [row["path"] for row in pq.read_table(io.BytesIO(after[added][0])).to_pylist()] == [
        str(story.library / "b" / "new.jpg")
    ]
    figures = {key: summary_of(after)[key] for key in ("total", "ok", "failed")}
    assert figures == {"total": 7, "ok": 5, "failed": 2}
    assert summary_of(after)["fingerprint"] == summary_of(before)["fingerprint"]
    assert not [path for path in after if path.match(".r2mrf-*/*")]  # half a file that the kill had left


def test_the_reason_for_scoring_again_is_printed(story, tiny_model):
    score = ("score", story.library / "b", "--out", story.out, "--model", tiny_model, "--engine", "torch", "--dry-run")
    (said,) = command(*score, "--detail").err
    assert said.startswith(f"{story.out}: its 4 rows stay, and all photos are scored again, because the model was ")
    assert said.endswith(" now; `--detail` was not given before and is now")
    assert command(*score, "--maps").err == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("maps", True, False), "`--maps` was given before and is not now"),
        (("maps", False, True), "`--maps` was not given before and is now"),
        (("max_pixels", 178000000, 1000), "`--max-pixels` was 178000000 before and is 1000 now"),
        (("precision", "fp32", "int8"), "the precision was fp32 before and is int8 now"),
        (("record", 4, 5), "the version of the record was 4 before and is 5 now"),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(map(str, value)),
)
def test_each_reason_is_a_sentence(change, sentence):
    assert summaries.change(*change) == sentence


def test_a_table_of_version_01_stays_and_is_read(story, tiny_model, tmp_path):
    """Score beside a table that lacks columns, and treated borders, small photos and contrast differently."""
    out, old = tmp_path / "out", "01" * 8
    (out / "scores").mkdir(parents=True)
    table = pq.read_table(story.out / next(path for path in story.files["first"] if path.match("scores/*.parquet")))
    columns = [name for name in table.column_names if name not in ADDED]
    table = table.select(columns).replace_schema_metadata(None)
    pq.write_table(table, out / "scores" / f"shard-00000-{old}.parquet")
    summary = summary_of(story.files["first"]) | {"fingerprint": old, "total": len(table)}
    for name in ("record", "max_pixels", "maps", "detail", "left_out", "soft_above"):
        del summary[name]
    (out / "summary.json").write_text(json.dumps(summary))
    before = files_of(out)
    score = ("score", story.library / "b", "--out", out, "--model", tiny_model, "--engine", "torch", "--dry-run")
    status, said, (why,) = command(*score)
    assert status == 0 and said[0].startswith("4 photos, 4 of them to be scored")
    assert why.startswith(
        f"{out}: its {len(table)} rows stay, and all photos are scored again, because version 0.1 treated borders"
    )
    assert files_of(out) == before
    assert len(read(out).rows) == len(table)


def test_other_model_never_mixes_with_older_rows(story):
    before, after = story.files["grown"], story.files["other"]
    assert all(after[path] == before[path] for path in before if path != Path("summary.json"))
    assert summary_of(after)["fingerprint"] != summary_of(before)["fingerprint"]
    rows = table_of(after, summary_of(after)["fingerprint"])
    names = ["broken.png", "c/same.jpg", "new.jpg", "turned.JPG"]
    assert [row["path"] for row in rows] == [str(story.library / "b" / name) for name in names]
    assert {row["model_sha256"] for row in rows} == {summary_of(after)["model_sha256"]}
    assert {row["map"] for row in rows} == {None}
    assert {key: summary_of(after)[key] for key in ("total", "ok", "failed")} == {"total": 4, "ok": 3, "failed": 1}
