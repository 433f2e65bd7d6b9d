"""The ledger of listed and finished photos: nothing is lost, nothing counted twice, whatever was cut short."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.library.columns import ADDED, SCORES, completed, table_of
from pipelines.library.ledger import Ledger
from pipelines.library.listed_photos import ListedPhotos, hashes
from pipelines.storage.checked_parquet import HASHES
from r2mrf.config import Score
from r2mrf.errors import UserError
from r2mrf.prediction.record import thresholds_of
from tests.support.ledgers import KEY, ledger, list_and_score, photo, row, rows_of, seven_photos


@pytest.fixture
def two(tmp_path) -> Ledger:
    """Return a ledger with two finished shards, of three and two photos; one photo failed."""
    made = ledger(tmp_path)
    for names in ("abc", "de"):
        number = made.add([photo(name) for name in names])
        made.commit(number, [row(f"/{name}", None if name == "d" else 0.5) for name in names])
    return made


def test_a_shard_is_done_when_its_rows_are_there(tmp_path):
    made = ledger(tmp_path)
    assert [made.add([photo("a"), photo("b")]), made.add([photo("c")])] == [0, 1]
    assert (made.listed(), made.waiting()) == ([0, 1], [0, 1])
    assert made.photos(0) == [photo("a"), photo("b")]
    made.commit(1, [row("/c")])
    assert made.waiting() == ledger(tmp_path).waiting() == [0]
    assert ledger(tmp_path).add([photo("d")]) == 2


def test_counts_and_failures(two):
    assert two.counts() == {
        "total": 5, "ok": 4, "failed": 1, "verdicts": {"partial": 4}, "reasons": {"corrupt": 1},
    }  # fmt: skip
    assert list(two.failed()) == [("/d", "corrupt: half of it")]


def test_known_photos(two):
    asked = [photo("a"), photo("e", size=2), photo("x"), photo("d", mtime=2), photo("d")]
    found = list(two.known().find(asked))
    assert found == list(zip(asked, [0, 1, None, 1, 1], [True, False, False, False, True], strict=True))
    assert list(ListedPhotos(*hashes([]).T, np.empty(0)).find([photo("a")])) == [(photo("a"), None, False)]


def test_dropped_photos_are_gone_from_both_files(two, tmp_path):
    two.drop({0: {"/a", "/b"}, 1: {"/e"}})
    assert [row["path"] for row in rows_of(tmp_path)] == ["/c", "/d"]
    assert [p.path for n in two.listed() for p in two.photos(n)] == ["/c", "/d"]
    assert two.waiting() == []


def test_a_drop_that_was_cut_short_is_finished(two, tmp_path):
    scores = tmp_path / f"scores/shard-00000-{KEY}.parquet"
    before = scores.read_bytes()
    two.drop({0: {"/b"}})
    scores.write_bytes(before)  # killed between the two files
    assert ledger(tmp_path).repair() == 4
    assert [row["path"] for row in rows_of(tmp_path)] == ["/a", "/c", "/d", "/e"]


def test_damaged_scores_are_made_again(two, tmp_path, capsys):
    damaged = tmp_path / f"scores/shard-00001-{KEY}.parquet"
    damaged.write_bytes(damaged.read_bytes()[:100])
    assert two.repair() == 3
    assert two.waiting() == [1]
    assert f"{damaged}: damaged" in capsys.readouterr().err


def test_scores_without_their_manifest_are_refused(two, tmp_path):
    lost = tmp_path / f"manifest/shard-00001-{KEY}.parquet"
    lost.unlink()
    with pytest.raises(UserError, match="shard-00001") as caught:
        two.repair()
    assert str(lost) in str(caught.value)


def test_damaged_manifest_is_named(two, tmp_path):
    (tmp_path / f"manifest/shard-00001-{KEY}.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"manifest/shard-00001.* is damaged"):
        two.repair()


def test_verdicts_follow_the_thresholds_without_the_network(tmp_path):
    made = ledger(tmp_path)
    made.add([photo(name) for name in "abcd"])
    made.commit(0, [row("/a", 0.1), row("/b", 0.5), row("/c", None), row("/d", 0.5, contrast=0.5)])
    strict = ledger(tmp_path, sharp_below=0.6, blurred_above=0.9)
    strict.repair()
    assert [row["verdict"] for row in rows_of(tmp_path)] == ["sharp", "sharp", None, "flat"]
    files = {file: file.stat().st_mtime_ns for file in (tmp_path / "scores").iterdir()}
    strict.repair()  # nothing left to do
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "scores").iterdir()} == files


def test_other_fingerprints_are_not_touched(two, tmp_path):
    other = Ledger(tmp_path, "f" * 16, thresholds_of(Score()))
    assert (other.listed(), other.repair(), other.counts()["total"]) == ([], 0, 0)
    assert other.add([photo("a")]) == 0


# --- tables that were scored before ------------------------------------------------------------------------


@pytest.fixture
def library(tmp_path) -> Path:
    return seven_photos(tmp_path / "photos")


def test_schema_of_a_shard_is_the_published_one(two, tmp_path):
    (file, *_) = (tmp_path / "scores").iterdir()
    assert pq.read_schema(file).remove_metadata() == SCORES


OLD = [name for name in SCORES.names if name not in ADDED]  # the columns of version 0.1


def as_before(out: Path) -> None:
    """Rewrite a table as version 0.1 left it: without later columns, and with -1 for what is unknown."""
    for file in (out / "scores").iterdir():
        table = pq.read_table(file)
        kept = {name: value for name, value in table.schema.metadata.items() if name != HASHES}
        pq.write_table(table.select(OLD).replace_schema_metadata(kept), file)
    for file in (out / "manifest").iterdir():
        table = pq.read_table(file).replace_schema_metadata()
        for name in ("row", "size", "mtime"):
            values = pa.compute.fill_null(table[name], -1)
            table = table.set_column(table.column_names.index(name), name, values)
        pq.write_table(table, file)


def test_a_table_scored_before_goes_on(library, tmp_path):
    """Continue the table: nothing is scored anew; drops, verdicts by other thresholds and counts work on it."""
    out = tmp_path / "out"
    list_and_score(library, out, fails=("1.jpg",))
    as_before(out)
    assert list_and_score(library, out) == []
    assert list_and_score(library, out, retry=True) == [["1.jpg"]]
    as_before(out)
    strict = ledger(out, sharp_below=0.6, blurred_above=0.9)
    assert strict.repair() == 7
    assert strict.counts()["verdicts"] == {"sharp": 7}
    assert [photo.row for number in strict.listed() for photo in strict.photos(number)] == [None] * 7


def test_columns_that_came_later_are_completed():
    old = table_of([row("/a"), row("/b", None)]).select(OLD)
    new = completed(old)
    assert new.schema == SCORES
    assert new["reason"].to_pylist() == [None, "corrupt"]


# --- damage ------------------------------------------------------------------------------------------------


def all_of(made: Ledger) -> list:
    """Return everything that a ledger says about its two shards."""
    known = made.known()
    return [
        *(made.photos(number) for number in (0, 1)),
        *(made.rows(number) for number in (0, 1)),
        *(made.contents(number) for number in (0, 1)),
        *(list(made.failed()), made.counts(), made.listed(), list(known.find([photo("a"), photo("e"), photo("x")]))),
    ]


@pytest.mark.parametrize("folder", ["scores", "manifest"])
def test_a_flipped_bit_is_told_or_changes_nothing(two, tmp_path, capsys, folder):
    whole, dice = all_of(two), np.random.default_rng(0)
    file = tmp_path / f"{folder}/shard-00000-{KEY}.parquet"
    before, told = file.read_bytes(), 0
    for place, bit in zip(dice.integers(len(before), size=500), dice.integers(8, size=500), strict=True):
        damaged = bytearray(before)
        damaged[place] ^= 1 << bit
        file.write_bytes(damaged)
        made = ledger(tmp_path)
        try:
            made.repair()
            if made.waiting() == [0]:  # it is scored again
                assert f"{file}: damaged; its photos will be scored again" in capsys.readouterr().err
                told += 1
            else:
                assert all_of(made) == whole
        except UserError as error:
            assert str(file) in str(error)
            told += 1
        file.write_bytes(before)
    assert told > 250
