"""The table of a library has one row a photo, with the network's numbers or the reason why there are none."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from r2mrf import Predictor
from r2mrf.config import Score
from r2mrf.imaging import images
from r2mrf.imaging.maps import to_uint8
from r2mrf.prediction import record
from tests.support.scored_files import summary_of

# pinned: name and type, in any order
PINNED = {
    **dict.fromkeys(["path", "status", "error", "content_sha256", "verdict", "model", "model_sha256"], pa.string()),
    **dict.fromkeys(["width", "height", "focus_x0", "focus_y0", "focus_x1", "focus_y1"], pa.int32()),
    **dict.fromkeys(["blur_fraction", "focus_area", "center_blur", "confidence"], pa.float64()),
}
SUMMARY = ["total", "ok", "failed", "images_per_second", "model", "model_sha256", "fingerprint"]


def test_pinned_columns(story):
    shards = [content for path, (content, _) in story.files["other"].items() if path.match("scores/*.parquet")]
    assert len(shards) == 3
    for shard in shards:
        schema = pq.read_schema(io.BytesIO(shard))
        assert {name: schema.field(name).type for name in PINNED} == PINNED


def test_one_row_a_photo_whatever_becomes_of_it(rows):
    good = {"a.jpg", "b/turned.JPG", "b/c/same.jpg", "caf\\xe9.png"}
    assert set(rows) == good | {"b/broken.png", "dangling.jpg"}
    assert {name for name, row in rows.items() if row["status"] == "ok"} == good
    assert {row["status"] for row in rows.values()} == {"ok", "failed"}


def test_failed_rows_say_why_and_nothing_else(rows):
    failed = {name: row for name, row in rows.items() if row["status"] == "failed"}
    assert failed["b/broken.png"]["error"].startswith("not_an_image: ")
    assert failed["dangling.jpg"]["error"].startswith("not_a_file: ")
    for row in failed.values():
        assert {name for name, value in row.items() if value is not None} == {
            "path", "status", "reason", "error", "model", "model_sha256",
        }  # fmt: skip


def test_numbers_are_those_of_the_network(story, rows, tiny_model):
    predictor = Predictor.load(tiny_model)
    for name in ("a.jpg", "b/turned.JPG", "b/c/same.jpg"):
        expected = record.record(predictor, (story.library / name).read_bytes(), Score())
        for key, value in expected.items():
            # other photos in a batch change the order in which the processor adds up
            wanted = pytest.approx(value, abs=0.01) if isinstance(value, float) else value
            assert rows[name][key] == wanted, (name, key)
        assert rows[name]["model"] == predictor.checkpoint.name
        assert rows[name]["model_sha256"] == predictor.checkpoint.sha256


def test_size_is_the_displayed_one(rows):
    assert (rows["b/turned.JPG"]["width"], rows["b/turned.JPG"]["height"]) == (50, 90)


def test_maps(story, rows, tiny_model):
    written = {path.name for path in story.files["first"] if path.parent == Path("maps")}
    assert written == {row["map"] for row in rows.values() if row["status"] == "ok"}
    assert len(written) == 3  # two photos are the same file
    predictor = Predictor.load(tiny_model)
    for name in ("a.jpg", "b/turned.JPG"):
        got = images.decode_mask((story.out / "maps" / rows[name]["map"]).read_bytes())
        expected = to_uint8(predictor(images.load(story.library / name)))
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected.astype(float), atol=3)


def test_content_hash_names_the_same_photo(story, rows):
    content = (story.library / "a.jpg").read_bytes()
    assert rows["a.jpg"]["content_sha256"] == hashlib.sha256(content).hexdigest()
    assert rows["b/c/same.jpg"]["content_sha256"] == rows["a.jpg"]["content_sha256"]


def test_summary(story, rows):
    summary = summary_of(story.files["first"])
    assert set(SUMMARY) <= summary.keys()
    assert (summary["total"], summary["ok"], summary["failed"]) == (6, 4, 2)
    assert summary["images_per_second"] > 0
    assert {row["model_sha256"] for row in rows.values()} == {summary["model_sha256"]}


def test_what_the_command_says(story):
    status, out, err = story.runs["first"]
    assert status == 1
    assert out[0].startswith(f"{story.out}: 4 of 6 photos scored, 2 failed, ")
    assert "shard-*-" in out[1]
    failed = [line for line in err if line.startswith("failed: ")]
    assert [line.split(": ")[1] for line in failed] == [
        str(story.library / "b" / "broken.png"),
        str(story.library / "dangling.jpg"),
    ]
