"""`r2mrf report`: the page as a file; photos stay as they are."""

import json
import os
from pathlib import Path

import pytest

from pipelines.report.page import with_pictures, write_page
from pipelines.report.scored_folder import read
from tests.support.photos import save_photo, save_scene
from tests.support.scored_folder import HOSTILE, failed, ok, save_table


def test_photos_stay_as_they_are(here, report):
    scenes = [save_scene(here / "p" / f"IMG_{i}.jpg", seed=1, blur=i) for i in range(3)]
    before = [(photo.read_bytes(), photo.stat().st_mtime_ns) for photo in scenes]
    save_table(here / "out", [ok(photo) for photo in scenes])
    assert report(here / "out", "--csv", "all.csv", "--xmp", "xmp")[0] == 0
    assert [(photo.read_bytes(), photo.stat().st_mtime_ns) for photo in scenes] == before
    assert sorted(Path("p").iterdir()) == [photo.relative_to(here) for photo in scenes]


@pytest.mark.parametrize("option", ["-o", "--csv"])
def test_a_photo_is_never_overwritten(here, report, option):
    photo = save_photo(here / "p" / "a.jpg")
    (here / "link.csv").symlink_to(photo)
    save_table(here / "out", [ok(photo)])
    before = photo.read_bytes()
    for target in ("p/a.jpg", "link.csv"):
        status, _, err = report(here / "out", option, target)
        assert (status, len(err)) == (2, 1)
        assert "is one of the photos" in err[0]
    assert photo.read_bytes() == before


@pytest.mark.parametrize("option", ["-o", "--csv", "--exiftool", "--xmp", "--link-into", "--copy-into"])
def test_the_table_is_never_overwritten(here, report, option):
    save_table(here / "out", [ok(save_photo(here / "p" / "a.jpg"))])
    before = {file: file.read_bytes() for file in (here / "out").rglob("*") if file.is_file()}
    shard = next((here / "out" / "scores").iterdir())
    for target in (shard, here / "out" / "summary.json", here / "out" / "scores" / "new"):
        status, _, err = report(here / "out", option, target)
        assert (status, len(err)) == (2, 1)
        assert "belongs to what `r2mrf score` wrote" in err[0]
    assert {file: file.read_bytes() for file in (here / "out").rglob("*") if file.is_file()} == before


def test_a_pipe_is_not_replaced_by_a_table(here, report):
    save_table(here / "out", [ok(save_photo(here / "p" / "a.jpg"))])
    os.mkfifo(here / "pipe")
    status, _, err = report(here / "out", "--csv", "pipe")
    assert (status, len(err)) == (2, 1)
    assert "pipe: this is not a regular file" in err[0]
    assert (here / "pipe").is_fifo()


def test_a_table_is_written_through_a_link(here, report):
    save_table(here / "out", [ok(save_photo(here / "p" / "a.jpg"))])
    (here / "real.csv").write_text("old")
    (here / "link.csv").symlink_to("real.csv")
    assert report(here / "out", "--csv", "link.csv")[0] == 0
    assert (here / "link.csv").is_symlink()
    assert "a.jpg" in (here / "real.csv").read_text()


def test_a_folder_whose_first_run_has_not_finished_says_so(here, report):
    (here / "out" / "scores").mkdir(parents=True)
    assert "has not finished" in report(here / "out")[2][0]
    assert "is a file" in report(save_photo(here / "p" / "a.jpg"))[2][0]


def data_of(page: Path) -> dict:
    return json.loads(page.read_text(encoding="utf-8").split('id="data">')[1].split("</script>")[0])


def paths_of(page: Path) -> list[str]:
    data = data_of(page)
    return [data["root"] + data["folders"][row[0]] + row[1] for row in data["rows"]]


def test_hostile_names_do_not_leave_the_data(here, report):
    rows = [failed(f"/p/{name}", f"corrupt: {name}") for name in HOSTILE]
    plain = [failed(f"/p/{i}.jpg") for i in range(len(HOSTILE))]
    tags = []
    for name, chosen in (("hostile", rows), ("plain", plain)):
        save_table(here / name, chosen)
        assert report(here / name)[0] == 0
        tags.append((here / name / "report.html").read_text(encoding="utf-8").count("<"))
    assert tags[0] == tags[1]
    assert paths_of(here / "hostile" / "report.html") == sorted(f"/p/{name}" for name in HOSTILE)


@pytest.mark.parametrize(
    ("paths", "root"),
    [
        (["/a/b/1.jpg", "/a/b/c/2.jpg", "/a/bc/3.jpg"], "/a/"),
        (["/a/1.jpg"], "/a/"),
        (["/a/1.jpg", "/b/2.jpg"], "/"),
        (["/a/1.jpg", "s3://bucket/2.jpg"], ""),
        (["s3://bucket/x/2.jpg", "s3://bucket/y/3.jpg"], "s3://bucket/"),
    ],
)
def test_folders_below_the_one_that_all_share(here, report, paths, root):
    report(save_table(here, [ok(path) for path in paths]))
    assert data_of(here / "report.html")["root"] == root
    assert paths_of(here / "report.html") == paths


def test_thumbnails_are_found_from_where_the_page_is(here, report):
    save_table(here / "my out", [ok(save_photo(here / "p" / "a.jpg"))])
    report(here / "my out", "-o", "pages/page.html")
    assert data_of(Path("pages/page.html"))["thumbnails"] == "../my%20out/thumbnails/"


def test_the_same_table_gives_the_same_page(here, report):
    save_table(here, [ok("/p/a.jpg"), failed("/p/b.jpg")])
    report(here)
    first = (here / "report.html").read_bytes()
    report(here)
    assert (here / "report.html").read_bytes() == first


def test_fifty_thousand_rows_make_a_small_page(here):
    save_table(here, [ok(f"/p/{i % 50}/IMG_{i:05}.jpg", i % 101 / 100) for i in range(50_000)])
    write_page(with_pictures(read(here)), here / "report.html")
    assert (here / "report.html").stat().st_size < 20e6
    assert len(data_of(here / "report.html")["rows"]) == 50_000
