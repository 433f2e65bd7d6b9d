"""`r2mrf score`: a library in, a table out; nothing is done twice, and nothing is lost.

The runs are made once, one after the other, and shared by many tests.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.cluster.supervised import supervised
from pipelines.command.cli import main
from pipelines.library.columns import ADDED
from pipelines.library.out_folder import OutFolder
from pipelines.report.scored_folder import read
from pipelines.scoring import summary as summaries
from pipelines.scoring.supervised_run import score_library
from r2mrf import Predictor
from r2mrf.config import Score
from r2mrf.errors import UserError
from r2mrf.imaging import images
from r2mrf.imaging.maps import to_uint8
from r2mrf.prediction import record
from tests.support.model import save_tiny_model
from tests.support.object_store import endpoint
from tests.support.photos import save_photo

# pinned: name and type, in any order
PINNED = {
    **dict.fromkeys(["path", "status", "error", "content_sha256", "verdict", "model", "model_sha256"], pa.string()),
    **dict.fromkeys(["width", "height", "focus_x0", "focus_y0", "focus_x1", "focus_y1"], pa.int32()),
    **dict.fromkeys(["blur_fraction", "focus_area", "center_blur", "confidence"], pa.float64()),
}
SUMMARY = ["total", "ok", "failed", "images_per_second", "model", "model_sha256", "fingerprint"]


class Run(NamedTuple):
    status: int
    out: list[str]
    err: list[str]


class Story(NamedTuple):
    library: Path
    out: Path
    runs: dict[str, Run]
    files: dict[str, dict[Path, tuple[bytes, int]]]  # content and time of every file below `out` after each run


def command(*arguments: object) -> Run:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(list(map(str, arguments)))
    return Run(status, out.getvalue().splitlines(), err.getvalue().splitlines())


def files_of(out: Path) -> dict[Path, tuple[bytes, int]]:
    found = sorted(path for path in out.rglob("*") if path.is_file())
    return {path.relative_to(out): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def table_of(files: dict[Path, tuple[bytes, int]], fingerprint: str) -> list[dict]:
    shards = [content for path, (content, _) in files.items() if path.match(f"scores/shard-*-{fingerprint}.parquet")]
    return [row for shard in shards for row in pq.read_table(io.BytesIO(shard)).to_pylist()]


def summary_of(files: dict[Path, tuple[bytes, int]]) -> dict:
    return json.loads(files[Path("summary.json")][0])


def lose_some(out: Path) -> None:
    """Change the table as if its run had been killed: one shard is listed but not done, and one file is incomplete."""
    (shard,) = (out / "scores").iterdir()
    shard.unlink()
    scratch = OutFolder.of(out).scratch
    scratch.mkdir(exist_ok=True)
    (scratch / "123").write_bytes(b"PAR1 and no more")


@pytest.fixture(scope="module")
def story(tiny_model, tmp_path_factory) -> Story:
    """Run four times. first: scored with maps; again: the same command; grown: a new photo; other: another model."""
    library = tmp_path_factory.mktemp("library")
    out = library / "the table"  # inside the library: its maps must not be taken for photos
    save_photo(library / "a.jpg", (60, 80), seed=1)
    save_photo(library / "b" / "turned.JPG", (50, 90), seed=2, turn=6)
    save_photo(library / "b" / "c" / "same.jpg", (60, 80), seed=1)
    save_photo(library / os.fsdecode(b"caf\xe9.png"), (40, 40), seed=3)
    (library / "b" / "broken.png").write_text("no picture")
    (library / "b" / "notes.doc").write_text("not looked at")
    (library / "dangling.jpg").symlink_to("nowhere")
    score = ("score", library, "--out", out, "--maps", "--model", tiny_model, "--engine", "torch")
    runs, files = {"first": command(*score)}, {"first": files_of(out)}
    runs["again"], files["again"] = command(*score), files_of(out)
    lose_some(out)
    save_photo(library / "b" / "new.jpg", (30, 70), seed=4)
    runs["grown"], files["grown"] = command(*score), files_of(out)
    model = save_tiny_model(tmp_path_factory.mktemp("other") / "model", seed=1)
    runs["other"] = command("score", library / "b", "--out", out, "--model", model, "--engine", "torch")
    files["other"] = files_of(out)
    return Story(library, out, runs, files)


@pytest.fixture(scope="module")
def rows(story) -> dict[str, dict]:
    """Return the rows of the first run by name below the library."""
    table = table_of(story.files["first"], summary_of(story.files["first"])["fingerprint"])
    return {row["path"].removeprefix(f"{story.library}/"): row for row in table}


# --- the table -------------------------------------------------------------------------------------------


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


# --- running again ---------------------------------------------------------------------------------------


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


# --- who does the work ---------------------------------------------------------------------------------------


def test_rows_are_the_same_whoever_works(tiny_model, tmp_path, capfd):
    library = tmp_path / "library"
    for i in range(40):
        save_photo(library / f"{i:02d}.jpg", (60 + i, 80), seed=i)
    (library / "05.jpg").write_text("no photo")  # so that batches are of different sizes
    options = Score(engine="torch", maps=True, batch=2, shard_rows=30)
    wrote = {}
    for who, work in {
        "threads": "pipelines.scoring.run:score",
        "both": "tests.support.scoring:taken_over_by_ray",
    }.items():
        chunks = []
        supervised(work, [str(library)], tmp_path / who, str(tiny_model), options, report=chunks.append)
        assert sum(chunks) == 40
        wrote[who] = {path: content for path, (content, _) in files_of(tmp_path / who).items() if len(path.parts) > 1}
        assert not [line for line in capfd.readouterr().err.splitlines() if not line.startswith("score: ")], "noise"
    assert len(wrote["threads"]) == 2 + 2 + 39
    assert wrote["threads"] == wrote["both"]


# --- from elsewhere --------------------------------------------------------------------------------------


def test_photos_in_a_bucket_and_in_a_table(tiny_model, tmp_path):
    photo = save_photo(tmp_path / "a.jpg", seed=1).read_bytes()
    pq.write_table(pa.table({"image": [photo, b"no photo"]}), tmp_path / "held.parquet")
    with endpoint() as store:
        address = f"s3://key:secret@box?endpoint_override={store}&scheme=http&region=us-east-1"
        keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
        client = boto3.client("s3", endpoint_url=f"http://{store}", **keys)
        client.create_bucket(Bucket="box")
        for name in ("in/b.jpg", "in/c d.jpg"):
            client.put_object(Bucket="box", Key=name, Body=photo)
        score = ("score", address, tmp_path / "held.parquet", "--out", tmp_path / "out", "--model", tiny_model)
        run = command(*score, "--engine", "torch")
    files = files_of(tmp_path / "out")
    rows = {row["path"]: row for row in table_of(files, summary_of(files)["fingerprint"])}
    held = f"{tmp_path}/held.parquet"
    assert list(rows) == ["s3://box/in/b.jpg", "s3://box/in/c d.jpg", f"{held}#0", f"{held}#1"]
    assert rows.pop(f"{held}#1")["error"].startswith("not_an_image: ")
    assert len({row["blur_fraction"] for row in rows.values()}) == 1
    assert {row["content_sha256"] for row in rows.values()} == {hashlib.sha256(photo).hexdigest()}
    assert run.status == 1
    assert not any(b"secret" in content for content, _ in files.values())


def test_dry_run_counts_and_estimates_and_writes_nothing(story, tiny_model, tmp_path):
    before = files_of(story.out)
    source = story.library / "b"
    status, out, err = command("score", source, "--out", tmp_path / "out", "--model", tiny_model, "--dry-run")
    assert (status, err) == (0, [])
    assert re.fullmatch(r"4 photos, 4 of them to be scored: about .* at .* photos/s, from a trial .* torch .*", out[0])
    assert not (tmp_path / "out").exists()
    score = ("score", story.library, "--out", story.out, "--maps", "--model", tiny_model, "--engine", "torch")
    assert command(*score, "--dry-run").out == ["7 photos, 0 of them to be scored"]
    assert files_of(story.out) == before
    (tmp_path / "list.txt").write_text("gone.jpg\ngone too.jpg\n")
    gone = command("score", tmp_path / "list.txt", "--out", tmp_path / "out", "--model", tiny_model, "--dry-run").out
    assert gone == ["2 photos, 2 of them to be scored (not there: 2)"]


@pytest.mark.parametrize("engine", ["auto", "onnx", "openvino"])
def test_dry_run_without_a_decision_on_the_precision(story, tiny_model, tmp_path, engine):
    score = ("score", story.library, "--out", tmp_path / "out", "--model", tiny_model, "--dry-run")
    status, out, _ = command(*score, "--engine", engine, "--precision", "auto")
    assert status == 0
    assert f"from a trial with the engine {'torch' if engine == 'auto' else engine} on" in out[0]


def test_dry_run_counts_what_a_stopped_run_has_begun(story, tiny_model, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(story.out, out)
    for shard in (out / "scores").iterdir():  # so that only the manifests are there
        shard.unlink()
    score = ("score", story.library, "--out", out, "--maps", "--model", tiny_model, "--engine", "torch", "--dry-run")
    assert command(*score).out[0].startswith("7 photos, 7 of them to be scored (not there: 1): about ")


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("p/b.jpg", "p/a.PNG"):
        save_photo(tmp_path / name)
    (tmp_path / "p" / "x.txt").write_text("no list")
    return tmp_path


# --- could not run ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "out", "parts"),
    [
        ("absent", "out", ["absent: no such folder or file"]),
        ("empty", "out", ["empty: contains no photo", ".jpg"]),
        ("blank.txt", "out", ["blank.txt: contains no photo"]),
        ("zero.txt", "out", ["zero.txt: not a usable list of paths"]),
        ("p", "p/x.txt", ["p/x.txt", "File exists"]),
        ("p", "taken", ["taken/scores already exists", "nothing is written"]),
        ("p", os.fsdecode(b"caf\xe9"), ["caf\\xe9: this name is not UTF-8"]),
    ],
)
def test_could_not_run(here, tiny_model, source, out, parts):
    Path("empty").mkdir()
    Path("blank.txt").write_text("\n  \n")
    Path("zero.txt").touch()
    Path("taken").mkdir()
    Path("taken/scores").touch()
    before = sorted(here.rglob("*"))
    status, printed, err = command("score", source, "--out", out, "--model", tiny_model)
    assert (status, printed, len(err)) == (2, [], 1)
    for part in ("r2mrf: ", *parts):
        assert part in err[0]
    assert sorted(here.rglob("*")) == before


def test_place_of_the_maps_is_taken(here, tiny_model):
    Path("out").mkdir()
    Path("out/maps").touch()
    status, _, err = command("score", "p", "--out", "out", "--maps", "--model", tiny_model)
    assert (status, len(err)) == (2, 1)
    assert "out/maps already exists" in err[0]


def test_no_model(here):
    status, _, err = command("score", "p", "--out", "out", "--model", "no/such/model")
    assert (status, len(err)) == (2, 1)
    assert "no/such/model" in err[0]
    assert not Path("out").exists()


def test_one_bad_source_of_several_stops_before_anything_is_scored(here, tiny_model):
    with pytest.raises(UserError, match="absent: no such folder"):
        score_library(["p", "absent"], Path("out"), str(tiny_model), Score())
    assert not Path("out").exists()
