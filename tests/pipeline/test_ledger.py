"""What is listed and done: nothing is lost, nothing counted twice, whatever was cut short."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.library.columns import ADDED, SCORES, Row, completed, table_of
from pipelines.library.ledger import Ledger
from pipelines.library.listed_photos import ListedPhotos, hashes
from pipelines.library.listing import Listing
from pipelines.library.photo import Photo, from_text
from pipelines.library.walk import Library
from pipelines.storage.checked_parquet import HASHES
from r2mrf.config import Score
from r2mrf.errors import UserError
from r2mrf.prediction.record import thresholds_of
from tests.support.photos import save_photo

KEY = "0123456789abcdef"
OPTIONS = Score(shard_rows=3)


def photo(name: str, size: int = 1, mtime: int = 1) -> Photo:
    return Photo(f"/{name}", f"/{name}".encode(), None, size, mtime)


def row(path: str, blur: float | None = 0.5, contrast: float = 50.0, sha256: str | None = None) -> Row:
    """Return the row of a photo that was scored, or of one that failed."""
    made_by = {"path": path, "model": "tiny", "model_sha256": "ab" * 32}
    if blur is None:
        return Row(status="failed", error="corrupt: half of it", **made_by)
    figures = {"blur_fraction": blur, "focus_area": 0.5, "contrast": contrast, "verdict": "partial"}
    return Row(status="ok", width=640, height=480, content_sha256=sha256, **figures, **made_by)


def ledger(out: Path, **options) -> Ledger:
    return Ledger(out, KEY, thresholds_of(OPTIONS.model_copy(update=options)))


def rows_of(out: Path) -> list[dict]:
    return [row for file in sorted((out / "scores").iterdir()) for row in pq.read_table(file).to_pylist()]


@pytest.fixture
def two(tmp_path) -> Ledger:
    """Two shards that are done, of three and two photos; one photo failed."""
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
    assert ledger(tmp_path).mend() == 4
    assert [row["path"] for row in rows_of(tmp_path)] == ["/a", "/c", "/d", "/e"]


def test_damaged_scores_are_made_anew(two, tmp_path, capsys):
    damaged = tmp_path / f"scores/shard-00001-{KEY}.parquet"
    damaged.write_bytes(damaged.read_bytes()[:100])
    assert two.mend() == 3
    assert two.waiting() == [1]
    assert f"{damaged}: damaged" in capsys.readouterr().err


def test_scores_without_their_manifest_are_refused(two, tmp_path):
    lost = tmp_path / f"manifest/shard-00001-{KEY}.parquet"
    lost.unlink()
    with pytest.raises(UserError, match="shard-00001") as caught:
        two.mend()
    assert str(lost) in str(caught.value)


def test_damaged_manifest_is_named(two, tmp_path):
    (tmp_path / f"manifest/shard-00001-{KEY}.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"manifest/shard-00001.* is damaged"):
        two.mend()


def test_verdicts_follow_the_limits_without_the_network(tmp_path):
    made = ledger(tmp_path)
    made.add([photo(name) for name in "abcd"])
    made.commit(0, [row("/a", 0.1), row("/b", 0.5), row("/c", None), row("/d", 0.5, contrast=0.5)])
    strict = ledger(tmp_path, sharp_below=0.6, blurred_above=0.9)
    strict.mend()
    assert [row["verdict"] for row in rows_of(tmp_path)] == ["sharp", "sharp", None, "flat"]
    files = {file: file.stat().st_mtime_ns for file in (tmp_path / "scores").iterdir()}
    strict.mend()  # nothing left to do
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "scores").iterdir()} == files


def test_other_fingerprints_are_not_touched(two, tmp_path):
    other = Ledger(tmp_path, "f" * 16, thresholds_of(Score()))
    assert (other.listed(), other.mend(), other.counts()["total"]) == ([], 0, 0)
    assert other.add([photo("a")]) == 0


# --- new photos -------------------------------------------------------------------------------------------


def look(library: Path, out: Path, fails: tuple[str, ...] = (), **options) -> list[list[str]]:
    """List a library; names of the photos of each shard that was added. Those named in `fails` fail."""
    made = ledger(out)
    listing = Listing(Library([str(library)]), made, OPTIONS.model_copy(update=options))
    numbers = [number for wave in listing.waves() for number in wave]
    for number in numbers:
        made.commit(number, [scored(p.path, Path(p.path).name in fails) for p in made.photos(number)])
    return [[Path(p.path).name for p in made.photos(number)] for number in numbers]


def scored(path: str, fails: bool) -> Row:
    return row(path, None) if fails else row(path, sha256=sha256(path))


def sha256(path: str) -> str:
    return hashlib.sha256(Path(from_text(path)).read_bytes()).hexdigest()


@pytest.fixture
def library(tmp_path) -> Path:
    for i in range(7):
        save_photo(tmp_path / "photos" / f"{i}.jpg", seed=i)
    return tmp_path / "photos"


def test_shards_are_fixed_runs_of_the_sorted_list(library, tmp_path):
    assert look(library, tmp_path / "out") == [["0.jpg", "1.jpg", "2.jpg"], ["3.jpg", "4.jpg", "5.jpg"], ["6.jpg"]]
    assert look(library, tmp_path / "out") == []


def test_only_what_is_new_is_added(library, tmp_path):
    look(library, tmp_path / "out")
    save_photo(library / "35.jpg")
    assert look(library, tmp_path / "out") == [["35.jpg"]]


def test_what_has_changed_takes_the_place_of_its_old_row(library, tmp_path):
    look(library, tmp_path / "out")
    save_photo(library / "4.jpg", seed=77)
    assert look(library, tmp_path / "out") == [["4.jpg"]]
    names = [Path(row["path"]).name for row in rows_of(tmp_path / "out")]
    assert sorted(names) == [f"{i}.jpg" for i in range(7)]


def test_by_content(library, tmp_path):
    look(library, tmp_path / "out")
    for i in (1, 2, 5):
        (library / f"{i}.jpg").touch()
    save_photo(library / "3.jpg", seed=77)
    assert look(library, tmp_path / "out", by_content=True) == [["3.jpg"]]
    assert look(library, tmp_path / "out") == []  # the new times are known


def test_retry_lists_what_failed_once_more_and_keeps_rows_of_what_has_gone(library, tmp_path):
    look(library, tmp_path / "out", fails=("1.jpg", "5.jpg"))
    (library / "5.jpg").unlink()
    assert look(library, tmp_path / "out", retry=True) == [["1.jpg"]]
    rows = rows_of(tmp_path / "out")
    assert sorted(Path(row["path"]).name for row in rows) == [f"{i}.jpg" for i in range(7)]
    assert [Path(row["path"]).name for row in rows if row["status"] == "failed"] == ["5.jpg"]
    assert look(library, tmp_path / "out", retry=True) == []


def test_a_folder_out_of_reach_ends_the_listing(library, tmp_path):
    class Broken(Library):
        def photos(self):
            yield from list(super().photos())[:5]
            raise UserError("out of reach")

    made = ledger(tmp_path / "out")
    waves = Listing(Broken([str(library)]), made, OPTIONS).waves()
    with pytest.raises(UserError, match="out of reach"):
        list(waves)


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
    """Nothing is scored anew; drops, verdicts by other limits and counts work on it."""
    out = tmp_path / "out"
    look(library, out, fails=("1.jpg",))
    as_before(out)
    assert look(library, out) == []
    assert look(library, out, retry=True) == [["1.jpg"]]
    as_before(out)
    strict = ledger(out, sharp_below=0.6, blurred_above=0.9)
    assert strict.mend() == 7
    assert strict.counts()["verdicts"] == {"sharp": 7}
    assert [photo.row for number in strict.listed() for photo in strict.photos(number)] == [None] * 7


def test_columns_that_came_later_are_completed():
    old = table_of([row("/a"), row("/b", None)]).select(OLD)
    new = completed(old)
    assert new.schema == SCORES
    assert new["reason"].to_pylist() == [None, "corrupt"]


# --- photos that are gone, moved, or renamed by us --------------------------------------------------------


def paths_of(out: Path) -> list[str]:
    return sorted(Path(row["path"]).relative_to(out.parent / "photos").as_posix() for row in rows_of(out))


def test_prune_forgets_what_is_gone_and_moves_rows(library, tmp_path):
    out = tmp_path / "out"
    look(library, out)
    (library / "1.jpg").unlink()
    (library / "moved").mkdir()
    (library / "2.jpg").rename(library / "moved/two.jpg")
    save_photo(library / "new.jpg", seed=99)
    assert look(library, out, prune=True) == [["new.jpg"]]
    assert paths_of(out) == ["0.jpg", "3.jpg", "4.jpg", "5.jpg", "6.jpg", "moved/two.jpg", "new.jpg"]
    assert look(library, out, prune=True) == []


def test_prune_keeps_what_may_be_on_a_missing_disk(library, tmp_path, capsys):
    out, disk = tmp_path / "out", library / "disk"
    save_photo(disk / "a.jpg", seed=50)
    look(library, out)
    (disk / "a.jpg").unlink()  # an empty folder is left, as where a disk was mounted
    assert look(library, out, prune=True) == []
    assert "disk/a.jpg" in paths_of(out)
    assert "kept 1 rows" in capsys.readouterr().err
    disk.rmdir()
    look(library, out, prune=True)
    assert "disk/a.jpg" not in paths_of(out)


def test_prune_touches_no_other_source(library, tmp_path):
    out = tmp_path / "out"
    save_photo(library / "x/a.jpg", seed=51)
    look(library, out)
    (library / "6.jpg").unlink()
    look(library / "x", out, prune=True)
    assert "6.jpg" in paths_of(out)


def test_a_name_that_read_like_another_is_taken_over(tmp_path):
    """Version 0.1 gave a file with the byte FF and one with a literal \\xff the same path."""
    folder, out = tmp_path / "photos", tmp_path / "out"
    save_photo(folder / "a\\xff.jpg", seed=1)
    made = ledger(out)
    (photo,) = Library([str(folder)]).photos()
    old = photo._replace(path=f"{folder}/a\\xff.jpg")
    made.commit(made.add([old]), [row(old.path)])
    save_photo(folder / "c.jpg", seed=2)
    assert look(folder, out) == [["c.jpg", "a\\x5cxff.jpg"]]
    assert paths_of(out) == ["a\\x5cxff.jpg", "c.jpg"]
    assert look(folder, out) == []


@pytest.mark.parametrize("clock", [4e9, 1e10, 1.0, -1e9], ids=["2096", "2286", "1970", "1938"])
def test_a_clock_that_jumps(library, tmp_path, clock):
    """A photo with a time in the future or the far past is known again, and scored anew when its time goes back."""
    out = tmp_path / "out"
    os.utime(library / "1.jpg", (clock, clock))
    look(library, out)
    assert look(library, out) == []
    os.utime(library / "1.jpg", (1e9, 1e9))
    assert look(library, out) == [["1.jpg"]]
    assert len(rows_of(out)) == 7
    assert look(library, out) == []


# --- a raw file and its JPEG --------------------------------------------------------------------------------


def test_a_raw_file_that_gets_a_jpeg_is_one_photo_with_it(library, tmp_path):
    out = tmp_path / "out"
    raw = save_photo(library / "x.jpg", seed=30).rename(library / "R.NEF")
    look(library, out)
    assert "R.NEF" in paths_of(out)
    jpeg = save_photo(library / "R.jpg", seed=31)
    assert look(library, out) == [["R.jpg"]]
    assert "R.NEF" not in paths_of(out)
    made = ledger(out)
    (pair,) = [photo for number in made.listed() for photo in made.photos(number) if photo.path == str(jpeg)]
    assert pair.partner == str(raw)
    assert look(library, out) == []
    raw.unlink()
    assert look(library, out) == [["R.jpg"]]  # its row has no partner any more


# --- damage ------------------------------------------------------------------------------------------------


def all_of(made: Ledger) -> list:
    """Everything that a ledger tells of its two shards."""
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
            made.mend()
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
