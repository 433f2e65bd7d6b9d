"""What is listed and done: nothing is lost, nothing counted twice, whatever was cut short."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.library.columns import SCORES
from pipelines.library.ledger import Ledger
from pipelines.library.listed_photos import ListedPhotos, hashes
from pipelines.library.listing import Listing
from pipelines.library.photo import Photo
from pipelines.library.walk import Library
from r2mrf.config import Score
from r2mrf.errors import UserError
from tests.support.photos import save_photo

KEY = "0123456789abcdef"
OPTIONS = Score(shard_rows=3)


def photo(name: str, size: int = 1, mtime: int = 1) -> Photo:
    return Photo(f"/{name}", f"/{name}".encode(), None, size, mtime)


def row(path: str, blur: float | None = 0.5, contrast: float = 50.0) -> dict:
    """Of a photo that was scored, or of one that failed."""
    if blur is None:
        return dict.fromkeys(SCORES.names) | {"path": path, "status": "failed", "error": "corrupt: half of it"}
    known = {"path": path, "status": "ok", "blur_fraction": blur, "contrast": contrast, "verdict": "partial"}
    known |= {"width": 640, "height": 480}
    return dict.fromkeys(SCORES.names) | known


def ledger(out: Path, **options) -> Ledger:
    return Ledger(out, KEY, OPTIONS.model_copy(update=options))


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
    assert list(two.failed()) == [{"path": "/d", "error": "corrupt: half of it"}]


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
    other = Ledger(tmp_path, "f" * 16, OPTIONS)
    assert (other.listed(), other.mend(), other.counts()["total"]) == ([], 0, 0)
    assert other.add([photo("a")]) == 0


# --- new photos -------------------------------------------------------------------------------------------


def look(library: Path, out: Path, fails: tuple[str, ...] = (), **options) -> list[list[str]]:
    """List a library; names of the photos of each shard that was added. Those named in `fails` fail."""
    made = ledger(out, **options)
    listing = Listing(Library([str(library)]), made, made.options)
    numbers = [number for wave in listing.waves() for number in wave]
    for number in numbers:
        made.commit(number, [scored(p.path, Path(p.path).name in fails) for p in made.photos(number)])
    return [[Path(p.path).name for p in made.photos(number)] for number in numbers]


def scored(path: str, fails: bool) -> dict:
    return row(path, None) if fails else row(path) | {"content_sha256": sha256(path)}


def sha256(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


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
    waves = Listing(Broken([str(library)]), made, made.options).waves()
    with pytest.raises(UserError, match="out of reach"):
        list(waves)


def test_schema_of_a_shard_is_the_published_one(two, tmp_path):
    (file, *_) = (tmp_path / "scores").iterdir()
    assert pq.read_schema(file).remove_metadata() == pa.schema(SCORES)
