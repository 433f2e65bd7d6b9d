"""Photos linked or copied into one folder per verdict."""

import os
from pathlib import Path

import pytest

from pipelines.library.photo import to_text
from pipelines.report.verdict_folders import fill
from r2mrf.errors import UserError
from tests.support.photos import save_photo
from tests.support.scored_folder import ok, save_table


@pytest.fixture
def library(here) -> Path:
    """Make two folders with photos of one name, one sharp, one blurred; out/ holds their table."""
    photos = [save_photo(here / "pics" / name, seed=i) for i, name in enumerate(("a/1.jpg", "b/1.jpg"))]
    rows = [ok(photos[0], 0.1), ok(photos[1], 0.5), ok(here / "pics" / "gone.jpg", 0.9), ok("s3://bucket/far.jpg", 0.9)]
    return save_table(here / "out", rows)


def files(folder: str) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if not path.is_dir())


def test_links_by_verdict_follow_it(here, report, library):
    status, _, err = report(library, "--list", "flat", "--link-into", "sorted")
    assert (status, err) == (1, [f"failed: {here}/pics/gone.jpg: this photo is gone"])
    assert files("sorted") == ["partial/b/1.jpg", "sharp/a/1.jpg"]
    assert Path("sorted/sharp/a/1.jpg").readlink() == here / "pics" / "a" / "1.jpg"
    report(library, "--list", "flat", "--link-into", "sorted", "--sharp-below", "0.7")
    assert files("sorted") == ["sharp/a/1.jpg", "sharp/b/1.jpg"]


def test_copies_are_the_photos_byte_for_byte(here, report, library):
    for _ in range(2):  # again: nothing is said of what is there already
        assert report(library, "--list", "flat", "--copy-into", "sorted")[2] == [
            f"failed: {here}/pics/gone.jpg: this photo is gone"
        ]
    assert files("sorted") == ["partial/b/1.jpg", "sharp/a/1.jpg"]
    copy = Path("sorted/sharp/a/1.jpg")
    assert not copy.is_symlink()
    assert copy.read_bytes() == Path("pics/a/1.jpg").read_bytes()


@pytest.mark.parametrize("option", ["--link-into", "--copy-into"])
def test_what_is_there_already_stays(report, library, option):
    mine = Path("sorted/sharp/a/1.jpg")
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    other = Path("sorted/blurred/b/1.jpg")
    other.parent.mkdir(parents=True)
    other.symlink_to("elsewhere")
    status, _, err = report(library, "--list", "flat", option, "sorted")
    assert status == 1
    assert "sorted/sharp/a/1.jpg: another file already exists there and is kept" in err[0]
    assert (mine.read_text(), os.readlink(other)) == ("mine", "elsewhere")  # noqa: PTH115


def test_a_folder_among_the_photos_is_refused(here, report, library):
    status, _, err = report(library, "--list", "flat", "--link-into", here / "pics" / "sorted")
    assert (status, len(err)) == (2, 1)
    assert "choose a folder outside" in err[0]
    assert not (here / "pics" / "sorted").exists()


def test_a_folder_among_photos_is_refused_although_others_lie_on_another_disk(here):
    rows = [ok(save_photo(here / "pics/a.jpg")), ok("/another disk/b.jpg")]
    with pytest.raises(UserError, match="choose a folder outside"):
        fill(rows, here / "pics" / "sorted")


def test_a_folder_among_photos_whose_names_are_not_utf8_is_refused_too(here):
    photo = save_photo(here / "caf\udce9" / "a.jpg")
    with pytest.raises(UserError, match="choose a folder outside"):
        fill([ok(to_text(str(photo)))], photo.parent / "sorted")
