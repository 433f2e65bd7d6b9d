"""Thumbnails, tints and crops of scored photos: made once, small, and of nothing but the photos."""

import hashlib
import os
from dataclasses import replace

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipelines.library.held_images import Images
from pipelines.library.out_folder import OutFolder
from pipelines.library.walk import Library
from pipelines.report import thumbnails
from pipelines.storage.addresses import Addresses
from r2mrf.imaging import images
from r2mrf.imaging.maps import TINT
from tests.support.photos import save_photo, save_scene
from tests.support.scored_folder import failed, ok, pictured, save_table


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
    (_, first_top), (left, top) = row.crop_corners
    seen = np.asarray(Image.open(here / "thumbnails" / row.crops)).astype(int)
    assert (row.crop_corners[0], first_top, seen.shape) == ((0, 0), 0, (224, 448, 3))
    assert np.abs(seen[:, 224:] - pixels[top : top + 224, left : left + 224]).mean() < 20  # JPEG of noise
    assert seen[:, 224:].std() > 20 > seen[:, :224].std()
    assert left < 800 and left + 224 > 900 and top < 220 and top + 224 > 300


def test_a_box_that_lies_beside_the_photo_has_no_crop(here):
    photo = save_photo(here / "p" / "a.jpg", (120, 160))
    (row,) = pictured(here, [ok(photo, **FOCUS, **SHARPEST)])
    assert (row.thumbnail is None, row.crop_corners) == (False, [(0, 0)])
    (row,) = pictured(here, [ok(photo, **FOCUS)])
    assert (row.crops, row.crop_corners) == (None, None)


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


def test_copies_of_an_image_in_a_table_take_little_memory(here):
    """A Parquet file stores equal images once, so that a small one could fill the memory."""
    table = pa.table({"image": [bytes(1 << 20)] * 300})
    pq.write_table(table, here / "held.parquet", compression="none", dictionary_pagesize_limit=1 << 22)
    del table
    assert (here / "held.parquet").stat().st_size < 3 << 20
    before = pa.total_allocated_bytes()
    held = Images(str(here / "held.parquet"), Addresses())
    assert held[0] == held[299] == held[17] == bytes(1 << 20)
    assert pa.total_allocated_bytes() - before < 64 << 20


def test_of_photos_with_one_content_one_that_is_there_is_shown(here):
    photo = save_photo(here / "a" / "x.jpg")
    sha256 = hashlib.sha256(photo.read_bytes()).hexdigest()
    rows = pictured(here, [ok(photo), ok(here / "b" / "x.jpg", content_sha256=sha256)])
    assert [bool(row.thumbnail) for row in rows] == [True, True]


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


def test_damaged_thumbnail(here, report):
    rows = [ok(save_scene(here / "p" / f"{i}.jpg", i)) for i in range(2)]
    (here / "out" / "thumbnails").mkdir(parents=True)
    broken = here / "out" / "thumbnails" / thumbnails.photo_name(rows[0])
    broken.write_bytes(b"no picture")
    save_table(here / "out", rows)
    status, _, err = report(here / "out")
    assert (status, len(err)) == (2, 1)
    assert f"{broken}: is damaged" in err[0]
