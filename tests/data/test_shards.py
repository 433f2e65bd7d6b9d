"""Parquet shards are written atomically, with the same bytes for the same rows, and checked when they are read."""

import hashlib

import numpy as np
import pyarrow.parquet as pq
import pytest

from r2mrf.data import shards
from r2mrf.errors import UserError
from tests.support.disk import tiny_disk


def row(number: int, size: int = 50) -> dict:
    image, mask = bytes([number]) * size, bytes([number + 100]) * size
    sha256 = hashlib.sha256(image + mask).hexdigest()
    return {"source_id": f"s{number}", "variant": number, "image": image, "mask": mask, "transform": "{}"} | {
        "sha256": sha256
    }


ROWS = [row(i) for i in range(70)]  # more than one row group


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.parquet"


def test_round_trip(path):
    assert shards.write(path, iter(ROWS), shards.VARIANTS, "abc") == 70
    table = shards.read(path.parent)
    assert table.to_pylist() == ROWS
    assert table.schema.equals(shards.VARIANTS)
    assert shards.inspect(path, "abc").rows == 70
    assert [p.name for p in path.parent.iterdir()] == ["a.parquet"]


def test_same_rows_same_bytes(tmp_path):
    for name in ("a", "b"):
        shards.write(tmp_path / name, ROWS, shards.VARIANTS, "abc")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_no_rows(path):
    assert shards.write(path, [], shards.PAIRS, "abc") == 0
    assert shards.inspect(path, "abc").rows == 0
    assert shards.read(path.parent).num_rows == 0


def test_failing_rows_leave_the_older_shard(path):
    shards.write(path, ROWS[:3], shards.VARIANTS, "old")
    before = path.read_bytes()

    def rows():
        yield ROWS[0]
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        shards.write(path, rows(), shards.VARIANTS, "new")
    assert [p.name for p in path.parent.iterdir()] == ["a.parquet"]
    assert path.read_bytes() == before


def test_full_disk_leaves_nothing(path):
    with tiny_disk(), pytest.raises(UserError, match=r"a\.parquet: cannot be written"):
        shards.write(path, [row(1, 200_000)], shards.VARIANTS, "abc")
    assert list(path.parent.iterdir()) == []


def test_row_that_does_not_fit_the_schema(path):
    with pytest.raises(Exception, match="Could not convert 'first'"):
        shards.write(path, [ROWS[0] | {"variant": "first"}], shards.VARIANTS, "abc")
    assert list(path.parent.iterdir()) == []


def test_shard_of_another_make_is_not_done(path):
    shards.write(path, ROWS, shards.VARIANTS, "abc")
    assert shards.inspect(path, "abd").rows is None
    assert shards.inspect(path, "").rows is None


def test_foreign_parquet_file_is_not_done(path):
    pq.write_table(shards.VARIANTS.empty_table(), path)
    assert shards.inspect(path, "abc").rows is None


def test_missing_shard_is_not_done(path):
    assert shards.inspect(path, "abc").rows is None


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_cut_short_is_not_done(path, keep):
    shards.write(path, ROWS, shards.VARIANTS, "abc")
    path.write_bytes(path.read_bytes()[:keep])
    assert shards.inspect(path, "abc").rows is None


def test_garbage_of_any_kind_is_not_done(path):
    shards.write(path, ROWS, shards.VARIANTS, "abc")
    content = path.read_bytes()
    for damaged in (b"x" * 1000, content[:-8] + b"\xff\xff\xff\x7fPAR1", content[:-300] + bytes(292) + content[-8:]):
        path.write_bytes(damaged)
        assert shards.inspect(path, "abc").rows is None


def test_a_flipped_bit_is_seen_or_changes_nothing(path):
    shards.write(path, ROWS, shards.VARIANTS, "abc")
    content, rng = path.read_bytes(), np.random.default_rng(0)
    seen = 0
    for place, bit in zip(rng.integers(len(content), size=500), rng.integers(8, size=500), strict=True):
        damaged = bytearray(content)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        kept = shards.inspect(path, "abc")
        seen += kept.rows is None
        try:
            read = shards.read(path.parent)
        except UserError as error:
            assert str(path) in str(error)
            assert kept.rows is None
            continue
        if kept.rows is not None:
            assert read.to_pylist() == ROWS
    assert seen > 400


def test_a_hash_that_is_not_its_rows_is_damage(path):
    rows = [ROWS[0], ROWS[1] | {"mask": b"another"}]
    shards.write(path, rows, shards.VARIANTS, "abc")
    found = shards.inspect(path, "abc")
    assert found.rows is None and "mask of s1 is not what was written" in found.damage
    assert shards.inspect(path, "of another make") == (None, "")


def test_several_shards_are_read_in_the_order_of_their_names(tmp_path):
    for name, part in (("train-00001", ROWS[2:]), ("train-00000", ROWS[:2]), ("test-00000", ROWS[5:6])):
        shards.write(tmp_path / f"{name}.parquet", part, shards.VARIANTS, "abc")
    assert shards.read(tmp_path, "train-*.parquet")["variant"].to_pylist() == list(range(70))
    assert shards.read(tmp_path, "test-*.parquet", columns=["mask"]).to_pylist() == [{"mask": ROWS[5]["mask"]}]


def test_nothing_to_read(tmp_path):
    with pytest.raises(UserError, match="dvc repro") as caught:
        shards.read(tmp_path, "train-*.parquet")
    assert str(tmp_path / "train-*.parquet") in str(caught.value)
