"""`r2mrf report`: other verdicts without the network, thumbnails, bursts, CSV and XMP; photos stay as they are."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipelines.library.out_folder import OutFolder
from pipelines.library.walk import Library
from pipelines.report import thumbnails
from pipelines.report.page import with_pictures, write_page
from pipelines.report.scored_folder import ReportRow, read
from r2mrf.imaging import images
from r2mrf.imaging.maps import TINT
from tests.support.photos import save_photo, save_scene
from tests.support.scored_folder import FINGERPRINT, HOSTILE, failed, ok, save_table


def verdicts(folder: Path, **limits: float) -> list[str | None]:
    return [row.verdict for row in read(folder, **limits).rows]


# --- the table and its verdicts --------------------------------------------------------------------------


def test_verdicts_by_other_limits(here):
    rows = [ok(f"/p/{i}.jpg", blur, focus_area=0) for i, blur in enumerate((0.1, 0.3, 0.8, 0.9))]
    save_table(here, [*rows, ok("/p/8.jpg", 0.1, contrast=1.0), failed("/p/9.jpg")])
    assert verdicts(here) == ["sharp", "partial", "partial", "blurred", "flat", None]
    assert verdicts(here, sharp_below=0.4) == ["sharp", "sharp", "partial", "blurred", "flat", None]
    assert verdicts(here, sharp_below=0.0, blurred_above=0.2) == ["partial", *["blurred"] * 3, "flat", None]


def test_rows_of_the_run_that_the_summary_names(here):
    save_table(here, [ok("/p/old.jpg")], fingerprint="aaaa")
    save_table(here, [ok("/p/b.jpg"), ok("/p/a.jpg")])
    assert [row.path for row in read(here).rows] == ["/p/a.jpg", "/p/b.jpg"]


def spoil(folder: Path, how: str) -> None:
    shard, summary = folder / "scores" / f"shard-00000-{FINGERPRINT}.parquet", folder / "summary.json"
    if how == "no summary":
        summary.unlink()
    elif how == "summary cut":
        summary.write_text('{"total')
    elif how == "strange fingerprint":
        summary.write_text(json.dumps({"fingerprint": "../../*"}))
    elif how == "other fingerprint":
        summary.write_text(json.dumps({"fingerprint": "beef"}))
    elif how == "limit of text":
        summary.write_text(json.dumps({"fingerprint": FINGERPRINT, "sharp_below": "0.1"}))
    elif how == "limit of nothing":
        summary.write_text(json.dumps({"fingerprint": FINGERPRINT, "blurred_above": None}))
    elif how == "summary deep":
        summary.write_text("[" * 200_000)
    elif how == "key twice":
        summary.write_text(f'{{"fingerprint": "{FINGERPRINT}", "fingerprint": "beef"}}')
    elif how == "a pipe":
        summary.unlink()
        os.mkfifo(summary)
    elif how == "shard a pipe":
        shard.unlink()
        os.mkfifo(shard)
    elif how == "shard cut":
        shard.write_bytes(shard.read_bytes()[:-9])
    elif how == "older table":
        pq.write_table(pq.read_table(shard).drop_columns(["contrast"]), shard)


@pytest.mark.parametrize(
    ("how", "parts"),
    [
        ("no summary", ["summary.json: no such file", "r2mrf score"]),
        ("summary cut", ["summary.json: cannot be read", "score` again"]),
        ("strange fingerprint", ["summary.json: it names no table"]),
        ("limit of text", ["summary.json: sharp_below is not a number"]),
        ("limit of nothing", ["summary.json: blurred_above is not a number"]),
        ("summary deep", ["summary.json: cannot be read", "nested too deep"]),
        ("key twice", ["summary.json: cannot be read", "'fingerprint' occurs twice"]),
        ("a pipe", ["summary.json: cannot be read", "pipe"]),
        ("other fingerprint", ["scores: the table of the run"]),
        ("shard cut", [f"shard-00000-{FINGERPRINT}.parquet: is damaged", "score` again"]),
        ("shard a pipe", [f"shard-00000-{FINGERPRINT}.parquet", "pipe"]),
        ("older table", [f"shard-00000-{FINGERPRINT}.parquet: lacks contrast", "score again"]),
    ],
)
def test_no_usable_table(here, report, how, parts):
    spoil(save_table(here, [ok("/p/a.jpg"), ok("/p/b.jpg")]), how)
    status, out, err = report(here)
    assert (status, out, len(err)) == (2, [], 1)
    for part in parts:
        assert part in err[0]
    assert not (here / "report.html").exists()


@pytest.mark.parametrize("limits", [(0.9, 0.8), (0.5, 0.5), (-0.1, 0.5), (0.5, 1.1), ("nan", 0.5), (0.1, "nan")])
def test_limits_that_make_no_sense(here, report, limits):
    save_table(here, [ok("/p/a.jpg")])
    status, out, err = report(here, f"--sharp-below={limits[0]}", f"--blurred-above={limits[1]}")
    assert (status, out, len(err)) == (2, [], 1)
    assert "give thresholds from 0 to 1" in err[0]


# --- thumbnails ------------------------------------------------------------------------------------------


def pictured(folder: Path, rows: list[ReportRow]) -> list[ReportRow]:
    return with_pictures(read(save_table(folder, rows))).rows


def test_thumbnails_are_small_and_turned_as_displayed(here):
    wide = save_photo(here / "p" / "a.jpg", (300, 900))
    turned = save_photo(here / "p" / "b.jpg", (300, 900), turn=6)
    small = save_photo(here / "p" / "c.png", (10, 20))
    rows = pictured(here, [ok(wide), ok(turned), ok(small)])
    sizes = [Image.open(here / "thumbnails" / row.thumbnail).size for row in rows]
    assert sizes == [(256, 85), (85, 256), (20, 10)]


FOCUS = dict(zip(("focus_x0", "focus_y0", "focus_x1", "focus_y1"), (500, 100, 1000, 500), strict=True))
SHARPEST = dict(zip(("sharpest_x0", "sharpest_y0", "sharpest_x1", "sharpest_y1"), (0, 0, 100, 100), strict=True))


def test_crops_show_the_photo_as_it_is(here):
    pixels = np.full((600, 1200, 3), 128, np.uint8)
    pixels[220:300, 800:900] = np.random.default_rng(0).integers(0, 256, (80, 100, 3))  # not in the middle of its box
    (here / "p").mkdir()
    photo = here / "p" / "a.png"
    photo.write_bytes(images.encode_png(pixels))
    (row,) = pictured(here, [ok(photo, width=1200, height=600, **FOCUS, **SHARPEST)])
    (_, first_top), (left, top) = row.crop_places
    seen = np.asarray(Image.open(here / "thumbnails" / row.crops)).astype(int)
    assert (row.crop_places[0], first_top, seen.shape) == ((0, 0), 0, (224, 448, 3))
    assert np.abs(seen[:, 224:] - pixels[top : top + 224, left : left + 224]).mean() < 20  # JPEG of noise
    assert seen[:, 224:].std() > 20 > seen[:, :224].std()
    assert left < 800 and left + 224 > 900 and top < 220 and top + 224 > 300


def test_a_box_that_lies_beside_the_photo_has_no_crop(here):
    photo = save_photo(here / "p" / "a.jpg", (120, 160))
    (row,) = pictured(here, [ok(photo, **FOCUS, **SHARPEST)])
    assert (row.thumbnail is None, row.crop_places) == (False, [(0, 0)])
    (row,) = pictured(here, [ok(photo, **FOCUS)])
    assert (row.crops, row.crop_places) == (None, None)


def test_the_map_becomes_a_tint(here):
    photo = save_photo(here / "p" / "a.jpg", (20, 40))
    grey = np.zeros((20, 40), np.uint8)
    grey[:, 20:] = 255
    (here / "maps").mkdir()
    (here / "maps" / "abcd.png").write_bytes(images.encode_png(grey))
    (row,) = pictured(here, [ok(photo, map="abcd.png")])
    tint = np.asarray(Image.open(here / "thumbnails" / row.thumbnail_map).convert("RGBA"))
    assert tint.shape == (20, 40, 4)
    assert (tint[..., :3] == TINT).all()
    assert (tint[:, :20, 3] == 0).all()
    assert (tint[:, 20:, 3] == 153).all()  # 0.6 of 255


def test_no_thumbnail_where_the_photo_is_gone_changed_or_failed(here, report):
    changed = save_photo(here / "p" / "changed.jpg", seed=1)
    rows = [ok(changed), ok(here / "p" / "gone.jpg"), ok("s3://bucket/far.jpg"), failed(here / "p" / "bad.jpg")]
    save_photo(changed, seed=2)
    assert [row.thumbnail for row in pictured(here, rows)] == [None] * 4
    status, out, _ = report(here)
    assert status == 0
    assert out[1:] == [
        "without a thumbnail, because moved, changed, or at an address (see r2mrf report --fetch): 3",
        f"page: {here / 'report.html'}",
    ]


def test_photos_at_addresses_are_fetched_if_that_is_asked_for(here, report):
    photo = save_photo(here / "a.jpg", (700, 300)).read_bytes()
    fsspec.filesystem("memory").pipe("/far/a.jpg", photo)
    fsspec.filesystem("memory").pipe("/other/a.jpg", photo)
    row = ok("memory://far/a.jpg", content_sha256=hashlib.sha256(photo).hexdigest())
    assert pictured(here, [row])[0].thumbnail is None
    assert report(here, "--fetch", "memory://other")[1][1].endswith("(see r2mrf report --fetch): 1")
    status, out, _ = report(here, "--fetch", "memory://far")
    assert (status, out[1:]) == (0, [f"page: {here / 'report.html'}"])
    assert images.load(here / "thumbnails" / thumbnails.photo_name(row)).shape == (256, 110, 3)


@pytest.mark.parametrize("far", [False, True], ids=["here", "at an address"])
def test_images_in_a_table_are_shown(here, report, far):
    photos = [save_photo(here / "a.jpg", (90, 60 + i), seed=i).read_bytes() for i in range(5)]
    pq.write_table(pa.table({"image": photos}), here / "held.parquet", row_group_size=2)
    place = str(here / "held.parquet")
    if far:
        place = "memory://far/held.parquet"
        fsspec.filesystem("memory").pipe("/far/held.parquet", (here / "held.parquet").read_bytes())
    hashes = [hashlib.sha256(photo).hexdigest() for photo in photos]
    rows = [ok(f"{place}#{i}", content_sha256=sha256) for i, sha256 in enumerate([*hashes, "ab" * 32])]
    save_table(here, rows)
    status, out, _ = report(here, *(("--fetch", "memory://far") if far else ()))
    assert (status, out[1][-3:]) == (0, ": 1")  # the last one is no row of it
    shown = [Image.open(here / "thumbnails" / thumbnails.photo_name(row)).size for row in rows[:5]]
    assert shown == [(60 + i, 90) for i in range(5)]


def test_a_row_group_is_read_once_however_many_rows_there_are(here, monkeypatch, groups_read):
    photos = [save_photo(here / "a.jpg", (20, 20 + i)).read_bytes() for i in range(12)]
    pq.write_table(pa.table({"image": photos}), here / "held.parquet", row_group_size=4)
    monkeypatch.setattr(thumbnails, "cores", lambda: 1)
    named = {f"{here / 'held.parquet'}#{i}": hashlib.sha256(photo).hexdigest() for i, photo in enumerate(photos)}
    rows = pictured(here, [ok(path, content_sha256=sha256) for path, sha256 in named.items()])
    assert all(row.thumbnail for row in rows)
    assert groups_read == [0, 1, 2]


@pytest.mark.parametrize("row", ["9" * 5000, "12", "-1", "x"], ids=lambda row: row[:3])
def test_no_such_row_of_a_table(here, row):
    pq.write_table(pa.table({"image": [b"x"]}), here / "held.parquet")
    os.mkfifo(here / "pipe.parquet")
    names = ("held.parquet", "pipe.parquet", "gone.parquet", f"{'x' * 5000}.parquet")
    rows = [replace(ok("/p/a.jpg"), path=f"{here / name}#{row}") for name in names]
    assert [row.thumbnail for row in pictured(here, rows)] == [None] * 4


def test_a_file_may_be_named_like_a_row_of_a_table(here):
    (row,) = pictured(here, [ok(save_photo(here / "p" / "a.jpg").rename(here / "p" / "held.parquet#0"))])
    assert row.thumbnail


def test_made_once(here):
    rows = [ok(save_photo(here / "p" / name, seed=seed)) for seed, name in enumerate(("a.jpg", "b.jpg"))]
    pictured(here, rows[:1])
    first = {file: file.stat().st_mtime_ns for file in (here / "thumbnails").iterdir()}
    assert {file.suffix for file in first} == {".thumb", ".crops"}
    pictured(here, rows)
    assert {file: file.stat().st_mtime_ns for file in first} == first
    assert len(list((here / "thumbnails").iterdir())) == 4


def test_thumbnails_are_no_photos_for_the_next_scoring(here):
    photo = save_photo(here / "a.jpg")
    OutFolder.claim(here / "out", maps=True)
    (here / "out" / "maps" / f"{'ab' * 16}.png").write_bytes(images.encode_png(np.zeros((9, 9), np.uint8)))
    (row,) = pictured(here / "out", [ok(photo, map=f"{'ab' * 16}.png")])
    assert row.thumbnail and row.thumbnail_map
    assert [found.path for found in Library([str(here)]).photos()] == [str(photo)]


def test_name_that_is_not_utf8(here):
    photo = save_photo(here / "p" / os.fsdecode(b"caf\xe9.jpg"))
    (row,) = pictured(here, [replace(ok(photo), path=f"{here}/p/caf\\xe9.jpg")])
    assert row.thumbnail


def test_table_from_a_stranger_names_no_other_file(here):
    photo = save_photo(here / "p" / "a.jpg")
    rows = [
        ok(photo, content_sha256="../../evil"),
        ok(photo, content_sha256=None),
        ok(f"{photo}3", map="../p/a.jpg"),
        ok(f"{photo}4", map="/etc/passwd"),
    ]
    assert {(row.thumbnail, row.thumbnail_map) for row in pictured(here / "out", rows)} == {(None, None)}
    assert not list(here.rglob("*evil*"))


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


def test_damaged_thumbnail(here, report):
    rows = [ok(save_scene(here / "p" / f"{i}.jpg", i)) for i in range(2)]
    (here / "out" / "thumbnails").mkdir(parents=True)
    broken = here / "out" / "thumbnails" / thumbnails.photo_name(rows[0])
    broken.write_bytes(b"no picture")
    save_table(here / "out", rows)
    status, _, err = report(here / "out")
    assert (status, len(err)) == (2, 1)
    assert f"{broken}: is damaged" in err[0]


# --- the page as a file ----------------------------------------------------------------------------------


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
