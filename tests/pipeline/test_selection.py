"""Every file of a folder that looks like a picture is a photo, or is counted with the reason why it is not one."""

import os
from pathlib import Path

import pytest

from pipelines.library.walk import Library
from r2mrf.config import Score
from r2mrf.errors import UserError
from tests.support.photos import save_photo, save_scene

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)

TAKEN = {"a.jpg", "b.JPG_large", "c", "was.heic", "raw/d.jpg", ".2021.holiday.jpg", "x/h.jpg", "x/private/i.jpg"}
COUNTED = {"made by a program": 7, "format not read: .psd": 2, "format not read: .svg": 1}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return a folder as a phone, a camera, a NAS and a Mac leave it."""
    data = save_photo(tmp_path / "source/a.jpg").read_bytes()
    top = tmp_path / "photos"
    machines = (
        ".Trash-501/a.jpg",
        ".trashed-1700000000-a.jpg",
        "@eaDir/a.jpg/SYNOPHOTO.jpg",
        "#recycle/e.jpg",
        "x/__MACOSX/f.jpg",
        ".thumbnails/g.jpg",
    )
    for name in (*TAKEN, *machines):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(data)
    for name, other in (("k.psd", b"8BPS"), ("l.psd", b"8BPS"), ("m.svg", b"<svg/>"), ("._a.jpg", b"\0\5\x16\7"),
                        ("notes.txt", b"x"), ("movie.mp4", b"\0\0\0\x18ftypmp42"), ("db", b"SQLite")):  # fmt: skip
        (top / name).write_bytes(other)
    return top


def selected(folder: Path, **options) -> tuple[set[str], dict[str, int]]:
    library = Library([str(folder)], Score(**options))
    found = {Path(photo.path).relative_to(folder).as_posix() for photo in library.photos()}
    return found, dict(library.selection.left_out)


def test_every_file_is_taken_or_counted(folder):
    assert selected(folder) == (TAKEN, COUNTED)


def test_excluded(folder):
    found, left_out = selected(folder, exclude=("private/", "*.JPG_large", "/raw/*", "*.svg"))
    assert found == TAKEN - {"x/private/i.jpg", "b.JPG_large", "raw/d.jpg"}
    assert left_out == {"made by a program": 7, "format not read: .psd": 2, "excluded": 4}


def test_included(folder):
    assert selected(folder, include=("x/",))[0] == {"x/h.jpg", "x/private/i.jpg"}
    assert selected(folder, include=("*.jpg",), exclude=("raw/", "private/"))[0] == {
        "a.jpg",
        ".2021.holiday.jpg",
        "x/h.jpg",
    }
    assert selected(folder, include=("@eaDir/",))[0] == {"@eaDir/a.jpg/SYNOPHOTO.jpg"}


def test_an_ignore_file(folder):
    (folder / ".r2mrfignore").write_text("# mine\n*.jpg\n!a.jpg\n!x/h.jpg\n")
    (folder / "x/.r2mrfignore").write_text("private/\n")
    found, left_out = selected(folder)
    assert found == {"a.jpg", "b.JPG_large", "c", "was.heic", "x/h.jpg"}
    assert left_out["excluded"] == 3


def test_the_folder_above_is_no_folder_of_a_machine(tmp_path):
    save_photo(tmp_path / "@eaDir/a.jpg")
    assert selected(tmp_path / "@eaDir") == ({"a.jpg"}, {})


def test_a_folder_without_readable_photos_lists_what_it_holds(tmp_path):
    (tmp_path / "a.xcf").write_bytes(b"gimp xcf")
    with pytest.raises(UserError, match=r"contains no photo .*left out: 1 format not read: \.xcf"):
        Library([str(tmp_path)])


def test_patterns_that_are_none(tmp_path):
    save_photo(tmp_path / "a.jpg")
    with pytest.raises(UserError, match=r"--exclude: .*give patterns in the syntax of .gitignore"):
        Library([str(tmp_path)], Score(exclude=("!",)))


def test_a_raw_file_beside_its_jpeg_is_one_photo_with_it(tmp_path):
    data = save_photo(tmp_path / "p/IMG_1.JPG").read_bytes()
    for name in ("IMG_1.CR2", "img_1.dng", "IMG_2.NEF", "deep/IMG_1.CR2"):
        (tmp_path / "p" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "p" / name).write_bytes(data)
    found, left_out = selected(tmp_path / "p")
    assert found == {"IMG_1.JPG", "IMG_2.NEF", "deep/IMG_1.CR2"}
    assert left_out == {"raw file beside its JPEG": 2}
    partners = {Path(photo.path).name: photo.partner for photo in Library([str(tmp_path / "p")]).photos()}
    assert partners == {"IMG_1.JPG": str(tmp_path / "p/IMG_1.CR2"), "IMG_2.NEF": None, "IMG_1.CR2": None}
    assert "IMG_1.CR2" in selected(tmp_path / "p", exclude=("*.JPG",))[0]  # the JPEG is not taken


def test_a_raw_file_of_another_time_is_another_photo(tmp_path):
    jpeg = save_scene(tmp_path / "IMG_1.JPG", seed=1, taken="2026:11:29 10:00:00")
    raw = save_scene(tmp_path / "raw.jpg", seed=2, taken="2019:01:01 10:00:00").rename(tmp_path / "IMG_1.NEF")
    os.utime(raw, (1e9, 1e9))
    assert selected(tmp_path) == ({"IMG_1.JPG", "IMG_1.NEF"}, {})
    save_scene(tmp_path / "x.jpg", seed=2, taken="2026:11:29 10:00:01").rename(raw)
    os.utime(raw, (1e9, 1e9))  # copied later
    assert selected(tmp_path)[0] == {"IMG_1.JPG"}
    save_photo(tmp_path / "x.jpg").rename(raw)  # it does not say when it was taken
    os.utime(raw, (1e9, 1e9))
    assert selected(tmp_path)[0] == {"IMG_1.JPG"}
    save_scene(tmp_path / "x.jpg", seed=2, taken="2019:02:31 10:00:00").rename(raw)  # there is no such day
    os.utime(raw, (1e9, 1e9))
    assert selected(tmp_path)[0] == {"IMG_1.JPG"}
    assert jpeg.exists()
