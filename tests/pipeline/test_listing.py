"""New photos of a library are put on the ledger, each once, however they have changed."""

import os
from pathlib import Path

import pytest

from pipelines.library.listing import Listing
from pipelines.library.walk import Library
from r2mrf.errors import UserError
from tests.support.ledgers import OPTIONS, ledger, list_and_score, paths_of, row, rows_of, seven_photos
from tests.support.photos import save_photo


@pytest.fixture
def library(tmp_path) -> Path:
    return seven_photos(tmp_path / "photos")


def test_shards_are_fixed_runs_of_the_sorted_list(library, tmp_path):
    assert list_and_score(library, tmp_path / "out") == [
        ["0.jpg", "1.jpg", "2.jpg"],
        ["3.jpg", "4.jpg", "5.jpg"],
        ["6.jpg"],
    ]
    assert list_and_score(library, tmp_path / "out") == []


def test_only_what_is_new_is_added(library, tmp_path):
    list_and_score(library, tmp_path / "out")
    save_photo(library / "35.jpg")
    assert list_and_score(library, tmp_path / "out") == [["35.jpg"]]


def test_a_changed_photo_replaces_its_old_row(library, tmp_path):
    list_and_score(library, tmp_path / "out")
    save_photo(library / "4.jpg", seed=77)
    assert list_and_score(library, tmp_path / "out") == [["4.jpg"]]
    names = [Path(row["path"]).name for row in rows_of(tmp_path / "out")]
    assert sorted(names) == [f"{i}.jpg" for i in range(7)]


def test_by_content(library, tmp_path):
    list_and_score(library, tmp_path / "out")
    for i in (1, 2, 5):
        (library / f"{i}.jpg").touch()
    save_photo(library / "3.jpg", seed=77)
    assert list_and_score(library, tmp_path / "out", by_content=True) == [["3.jpg"]]
    assert list_and_score(library, tmp_path / "out") == []  # the new times are known


def test_by_content_a_raw_file_that_appears_is_noticed(library, tmp_path):
    list_and_score(library, tmp_path / "out")
    raw = save_photo(library / "x.jpg", seed=30).rename(library / "1.NEF")
    (library / "2.jpg").touch()
    assert list_and_score(library, tmp_path / "out", by_content=True) == [["1.jpg"]]
    assert {row["partner"] for row in rows_of(tmp_path / "out")} == {None, str(raw)}


def test_retry_lists_failed_photos_again_and_keeps_rows_of_deleted_ones(library, tmp_path):
    list_and_score(library, tmp_path / "out", fails=("1.jpg", "5.jpg"))
    (library / "5.jpg").unlink()
    assert list_and_score(library, tmp_path / "out", retry=True) == [["1.jpg"]]
    rows = rows_of(tmp_path / "out")
    assert sorted(Path(row["path"]).name for row in rows) == [f"{i}.jpg" for i in range(7)]
    assert [Path(row["path"]).name for row in rows if row["status"] == "failed"] == ["5.jpg"]
    assert list_and_score(library, tmp_path / "out", retry=True) == []


@pytest.mark.parametrize("clock", [4e9, 1e10, 1.0, -1e9], ids=["2096", "2286", "1970", "1938"])
def test_a_clock_that_jumps(library, tmp_path, clock):
    """List photos with times in the future or far past: they are known again, and scored anew when the time changes."""
    out = tmp_path / "out"
    os.utime(library / "1.jpg", (clock, clock))
    list_and_score(library, out)
    assert list_and_score(library, out) == []
    os.utime(library / "1.jpg", (1e9, 1e9))
    assert list_and_score(library, out) == [["1.jpg"]]
    assert len(rows_of(out)) == 7
    assert list_and_score(library, out) == []


def test_a_folder_out_of_reach_ends_the_listing(library, tmp_path):
    class Broken(Library):
        def photos(self):
            yield from list(super().photos())[:5]
            raise UserError("out of reach")

    made = ledger(tmp_path / "out")
    waves = Listing(Broken([str(library)]), made, OPTIONS).waves()
    with pytest.raises(UserError, match="out of reach"):
        list(waves)


def test_a_name_that_read_like_another_is_taken_over(tmp_path):
    """Version 0.1 gave a file with the byte FF and one with a literal \\xff the same path."""
    folder, out = tmp_path / "photos", tmp_path / "out"
    save_photo(folder / "a\\xff.jpg", seed=1)
    made = ledger(out)
    (photo,) = Library([str(folder)]).photos()
    old = photo._replace(path=f"{folder}/a\\xff.jpg")
    made.commit(made.add([old]), [row(old.path)])
    save_photo(folder / "c.jpg", seed=2)
    assert list_and_score(folder, out) == [["c.jpg", "a\\x5cxff.jpg"]]
    assert paths_of(out) == ["a\\x5cxff.jpg", "c.jpg"]
    assert list_and_score(folder, out) == []


# --- a raw file and its JPEG --------------------------------------------------------------------------------


def test_a_raw_file_that_gets_a_jpeg_is_one_photo_with_it(library, tmp_path):
    out = tmp_path / "out"
    raw = save_photo(library / "x.jpg", seed=30).rename(library / "R.NEF")
    list_and_score(library, out)
    assert "R.NEF" in paths_of(out)
    jpeg = save_photo(library / "R.jpg", seed=31)
    assert list_and_score(library, out) == [["R.jpg"]]
    assert "R.NEF" not in paths_of(out)
    made = ledger(out)
    (pair,) = [photo for number in made.listed() for photo in made.photos(number) if photo.path == str(jpeg)]
    assert pair.partner == str(raw)
    assert list_and_score(library, out) == []
    raw.unlink()
    assert list_and_score(library, out) == [["R.jpg"]]  # its row has no partner any more
