"""Scoring with --detail: the sharpest place of each photo, and the verdict that it allows."""

import hashlib
import json

import pyarrow.parquet as pq
import pytest

from pipelines.library.columns import table_of
from pipelines.library.photo import Photo
from pipelines.report.scored_folder import read as read_scored
from pipelines.scoring.job import ScoringJob
from pipelines.scoring.reader import read
from pipelines.scoring.scorer import Scorer
from pipelines.storage.addresses import Addresses
from r2mrf.config import Score
from r2mrf.prediction.predictor import Predictor
from r2mrf.prediction.record import DETAIL, record
from tests.support.photos import save_photo
from tests.support.scored_folder import ok


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> list[Photo]:
    folder = tmp_path_factory.mktemp("photos")
    sizes = {"large.jpg": (300, 400), "thin.png": (20, 700), "square.jpg": (64, 64)}
    saved = [save_photo(folder / name, size, seed) for seed, (name, size) in enumerate(sizes.items())]
    (folder / "broken.jpg").write_bytes(b"no photo")
    return [Photo(str(path), bytes(path)) for path in (*saved, folder / "broken.jpg")]


def test_rows_have_the_columns_that_one_photo_alone_has(tiny_model, photos):
    options = Score(detail=True, engine="torch", batch=4)
    job = ScoringJob.of(str(tiny_model), options, Addresses())
    rows = [scored.row for scored in Scorer(job, 1)(read(photos, job))]
    predictor = Predictor.load(tiny_model)
    for photo, row in zip(photos[:3], rows, strict=False):
        alone = record(predictor, open(photo.path, "rb").read(), options)  # noqa: SIM115, PTH123
        for name in DETAIL:
            assert getattr(row, name) == pytest.approx(alone[name], rel=1e-3, abs=1e-3), (photo.path, name)
        assert 0 <= row.sharpest_x0 < row.sharpest_x1 <= row.width
        assert 0 <= row.sharpest_y0 < row.sharpest_y1 <= row.height
    assert rows[1].verdict == "small"
    assert rows[3].status == "failed"
    assert table_of(rows)["sharpest_radius"].null_count >= 1


def test_soft_is_a_verdict_by_a_limit_and_needs_no_network(tmp_path):
    radii = {"a.jpg": 0.0, "b.jpg": 3.0, "c.jpg": None}
    rows = [
        ok(name, 0.1, sharpest_radius=radius, sharpest_x0=0, sharpest_y0=0, sharpest_x1=9, sharpest_y1=9)
        for name, radius in radii.items()
    ]
    (tmp_path / "scores").mkdir()
    pq.write_table(table_of(rows), tmp_path / "scores" / f"shard-00000-{'ab' * 8}.parquet")
    (tmp_path / "summary.json").write_text(json.dumps({"fingerprint": "ab" * 8, "soft_above": None}))
    assert [row.verdict for row in read_scored(tmp_path).rows] == ["sharp"] * 3
    assert [row.verdict for row in read_scored(tmp_path, soft_above=2.0).rows] == ["sharp", "soft", "soft"]
    assert [row.verdict for row in read_scored(tmp_path, soft_above=5.0).rows] == ["sharp", "sharp", "soft"]


def test_folders_that_were_scored_before_there_was_detail_are_read(tmp_path):
    table = table_of([ok("a.jpg", 0.1)]).drop_columns(list(DETAIL))
    (tmp_path / "scores").mkdir()
    pq.write_table(table, tmp_path / "scores" / f"shard-00000-{'ab' * 8}.parquet")
    (tmp_path / "summary.json").write_text(json.dumps({"fingerprint": "ab" * 8}))
    (row,) = read_scored(tmp_path, soft_above=1.0).rows
    assert (row.verdict, row.sharpest_radius) == ("sharp", None)
    assert row.content_sha256 == hashlib.sha256(b"a.jpg").hexdigest()
