"""`--prune`: photos that are gone are forgotten, and those that were moved keep their rows."""

from pathlib import Path

import pytest

from tests.support.ledgers import list_and_score, paths_of, rows_of, seven_photos
from tests.support.photos import save_photo


@pytest.fixture
def library(tmp_path) -> Path:
    return seven_photos(tmp_path / "photos")


def test_prune_forgets_what_is_gone_and_moves_rows(library, tmp_path):
    out = tmp_path / "out"
    list_and_score(library, out)
    (library / "1.jpg").unlink()
    (library / "moved").mkdir()
    (library / "2.jpg").rename(library / "moved/two.jpg")
    save_photo(library / "new.jpg", seed=99)
    assert list_and_score(library, out, prune=True) == [["new.jpg"]]
    assert paths_of(out) == ["0.jpg", "3.jpg", "4.jpg", "5.jpg", "6.jpg", "moved/two.jpg", "new.jpg"]
    assert list_and_score(library, out, prune=True) == []


def test_a_moved_photo_keeps_its_raw_file(library, tmp_path):
    raw = save_photo(library / "x.jpg", seed=30).rename(library / "1.NEF")
    list_and_score(library, tmp_path / "out")
    for file in (raw, library / "1.jpg"):
        (library / "moved").mkdir(exist_ok=True)
        file.rename(library / "moved" / file.name)
    assert list_and_score(library, tmp_path / "out", prune=True) == []
    (row,) = [row for row in rows_of(tmp_path / "out") if row["path"].endswith("/1.jpg")]
    assert (row["path"], row["partner"]) == (str(library / "moved/1.jpg"), str(library / "moved/1.NEF"))


def test_prune_keeps_what_may_be_on_a_missing_disk(library, tmp_path, capsys):
    out, disk = tmp_path / "out", library / "disk"
    save_photo(disk / "a.jpg", seed=50)
    list_and_score(library, out)
    (disk / "a.jpg").unlink()  # an empty folder is left, as where a disk was mounted
    assert list_and_score(library, out, prune=True) == []
    assert "disk/a.jpg" in paths_of(out)
    assert "kept 1 rows" in capsys.readouterr().err
    disk.rmdir()
    list_and_score(library, out, prune=True)
    assert "disk/a.jpg" not in paths_of(out)


def test_prune_keeps_what_it_cannot_look_at(library, tmp_path):
    """The folder is there, but for now the system refuses to look into it, as where a right is missing."""
    out, folder = tmp_path / "out", library / "closed"
    save_photo(folder / "a.jpg", seed=50)
    list_and_score(library, out)
    folder.rename(tmp_path / "kept")
    folder.symlink_to(folder)
    list_and_score(library, out, prune=True)
    assert "closed/a.jpg" in paths_of(out)


def test_prune_touches_no_other_source(library, tmp_path):
    out = tmp_path / "out"
    save_photo(library / "x/a.jpg", seed=51)
    list_and_score(library, out)
    (library / "6.jpg").unlink()
    list_and_score(library / "x", out, prune=True)
    assert "6.jpg" in paths_of(out)
