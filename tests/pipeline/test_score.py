"""`r2mrf score` gives the same rows whoever works and wherever photos are, and refuses what it cannot do at once."""

import hashlib
import os
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.cluster.supervised import supervised
from pipelines.scoring.supervised_run import score_library
from r2mrf.config import Score
from r2mrf.errors import UserError
from tests.support.command import command
from tests.support.object_store import endpoint
from tests.support.photos import save_photo
from tests.support.scored_files import files_of, summary_of, table_of


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


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("p/b.jpg", "p/a.PNG"):
        save_photo(tmp_path / name)
    (tmp_path / "p" / "x.txt").write_text("no list")
    return tmp_path


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
