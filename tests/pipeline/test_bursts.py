"""Bursts by time and likeness, by numbers where there is no time, and the sharpest of each."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import cv2
import numpy as np

from pipelines.report import bursts, thumbnails
from pipelines.report.bursts import Picture, sharpest_first
from pipelines.report.scored_folder import ReportRow
from r2mrf.imaging import images
from tests.support.photos import save_photo, save_scene
from tests.support.scored_folder import failed, ok, pictured

NOON = datetime(2026, 5, 1, 12)


def found(
    rows: list[ReportRow], seconds: dict[str, float] | None = None, likenesses: dict | None = None
) -> list[list[str]]:
    """Return the names in the bursts; photos have no time unless it is given, and are alike unless a likeness is."""
    name = lambda row: Path(row.path).name  # noqa: E731
    times = {photo: NOON + timedelta(seconds=offset) for photo, offset in (seconds or {}).items()}
    groups = bursts.find(rows, lambda row: times.get(name(row)), lambda row: (likenesses or {}).get(name(row), 0))
    return [[name(row) for row in burst] for burst in groups]


# --- which photos belong together --------------------------------------------------------------------------


def test_any_names_taken_within_seconds():
    names = ["PXL_20230813_092638412.jpg", "DSC_0012_BURST20230813.jpg", "GOPR1.jpg", "x-1-2.jpg", "later.jpg"]
    times = dict(zip(names, (0, 0.4, 3, 5.5, 60), strict=True))
    assert found([ok(f"/p/{name}") for name in names], times) == [sorted(names[:4])]


def test_two_cameras_that_take_turns():
    times = {"a1.jpg": 0, "b1.jpg": 1, "a2.jpg": 2, "b2.jpg": 3}
    likenesses = {"b1.jpg": 2**32 - 1, "b2.jpg": 2**32 - 1}
    assert found([ok(f"/p/{name}") for name in times], times, likenesses) == [
        ["a1.jpg", "a2.jpg"],
        ["b1.jpg", "b2.jpg"],
    ]


def test_numbers_count_only_where_there_is_no_time():
    rows = [ok(f"/p/IMG_{i}.jpg") for i in range(1, 6)]
    first, second, third, *others = (f"IMG_{i}.jpg" for i in range(1, 6))
    assert found(rows) == [[first, second, third, *others]]
    assert found(rows, {second: 0, third: 60}) == [[first, second], [third, *others]]


def test_consecutive_names_of_one_folder():
    names = ["a/IMG_09.jpg", "a/IMG_10.jpg", "a/IMG_12.jpg", "b/IMG_11.jpg", "a/DSC_11.jpg", "a/IMG_11.png", "a/x.jpg"]
    assert found([ok(f"/p/{name}") for name in names]) == [["IMG_09.jpg", "IMG_10.jpg"]]


def test_unlike_photos_of_another_size_and_failed_ones_part_a_burst():
    rows = [ok(f"/p/{i}.jpg", i / 10) for i in range(1, 7)]
    parted = [["1.jpg", "2.jpg", "3.jpg"], ["5.jpg", "6.jpg"]]
    assert found(rows, likenesses={"4.jpg": 2**32 - 1}) == parted
    assert found(rows, likenesses={"4.jpg": None}) == parted
    rows[3] = replace(rows[3], width=1)
    assert found(rows) == parted
    rows[3] = failed("/p/4.jpg")
    assert found(rows) == parted


def test_pictures_are_compared_only_where_time_or_name_says_so():
    asked = []
    rows = [ok(f"/p/{name}") for name in ("IMG_1.jpg", "IMG_2.jpg", "IMG_7.jpg", "cat.jpg")]
    bursts.find(rows, lambda row: None, lambda row: asked.append(Path(row.path).name))
    assert sorted(asked) == ["IMG_1.jpg", "IMG_2.jpg"]


def test_times_of_photos(here):
    taken = ["2026:05:01 10:00:00", "2026:05:01 10:00:02", "2026:05:01 10:00:09", "", "2026:05:01 10:00:59"]
    rows = [ok(save_scene(here / f"{i}.jpg", 1, taken=time)) for i, time in enumerate(taken)]
    assert [row.burst for row in pictured(here / "out", rows)] == [1, 1, 2, 2, 2]


def test_a_burst_is_told_by_its_pictures(here):
    seeds = [1, 1, 1, 2, 2, 3]
    rows = [
        ok(save_scene(here / f"IMG_{i}.jpg", seed, blur=2 * (i % 3)), blur=(i % 3) / 10) for i, seed in enumerate(seeds)
    ]
    rows = pictured(here / "out", rows)
    assert [row.burst for row in rows] == [1, 1, 1, 2, 2, None]
    assert [row.burst_size for row in rows] == [3, 3, 3, 2, 2, None]
    assert [row.sharpest for row in rows] == [True, False, False, True, False, None]


def test_clock_that_was_never_set(here):
    thumbnails.make([row := ok(save_scene(here / "1.jpg", 1, taken="0000:00:00 00:00:00"))], here)
    assert thumbnails.taken(here / "thumbnails" / thumbnails.photo_name(row)) is None


# --- which one is the sharpest -----------------------------------------------------------------------------


def test_without_maps_the_middle_counts_then_all_of_it():
    blurs = {"1.jpg": (0.5, 0.9), "2.jpg": (0.2, 0.4), "3.jpg": (0.2, 0.3)}
    rows = [ok(f"/p/{name}", whole, center_blur=center) for name, (center, whole) in blurs.items()]
    assert [row.path[3] for row in sharpest_first([(row, None) for row in rows])] == ["3", "2", "1"]


def test_with_detail_the_least_blurred_comes_first_whatever_the_middle_says():
    radii = {"1.jpg": None, "2.jpg": 3.0, "3.jpg": 0.0, "4.jpg": 3.1, "5.jpg": 1.5}
    box = dict(sharpest_x0=0, sharpest_y0=0, sharpest_x1=9, sharpest_y1=9)
    blur = {"1.jpg": 0.1, "2.jpg": 0.6, "4.jpg": 0.2}  # 2 and 4 are equals to the eye: the middle decides
    rows = [ok(f"/p/{name}", blur.get(name, 0.9), sharpest_radius=radius, **box) for name, radius in radii.items()]
    assert [row.path[3] for row in sharpest_first([(row, None) for row in rows])] == ["3", "5", "4", "2", "1"]
    rows[2] = replace(rows[2], sharpest_x1=None)  # a burst scored in part with detail
    assert [row.path[3] for row in sharpest_first([(row, None) for row in rows])] == ["1", "4", "2", "3", "5"]


SCENE = cv2.resize(np.random.default_rng(1).integers(0, 256, (20, 30), dtype=np.uint8), (600, 400))


def picture(left: int, focused: tuple[int, int, int, int], share: float = 1) -> Picture:
    """Return a view of the scene, 400×400 from x = `left` on; in focus where the scene lies in a box x0, y0, x1, y1."""
    x0, y0, x1, y1 = focused
    defocus = np.full((400, 600), 255, np.uint8)
    defocus[y0:y1, x0:x1] = round(255 * (1 - share))
    return Picture.of(SCENE[:, left : left + 400], defocus[:, left : left + 400])


def order(*pictures: Picture) -> list[int]:
    """Return the numbers of the pictures, the sharpest first; the figures of the whole photo say the opposite."""
    rows = [ok(f"/p/{i}.jpg", 0.9 - i / 10) for i in range(len(pictures))]
    return [int(Path(row.path).stem) for row in sharpest_first(list(zip(rows, pictures, strict=True)))]


def test_the_share_of_the_common_focus_counts():
    subject, corner = (150, 100, 350, 300), (360, 0, 400, 40)
    assert order(picture(0, subject), picture(0, subject, 0.5), picture(0, corner)) == [0, 1, 2]


def test_only_the_region_that_all_photos_show_counts():
    """The second photo shows more of the scene to the right; most of its focus lies outside the first one."""
    subject, beyond = (250, 100, 350, 300), (420, 0, 600, 400)
    assert order(picture(0, subject), picture(80, beyond)) == [0, 1]
    assert order(picture(0, subject, 0.5), picture(80, subject)) == [1, 0]


def test_maps_of_a_library_decide(here):
    rows = []
    (here / "maps").mkdir()
    for i, share in enumerate((0.2, 0.9, 0.5)):
        photo = save_scene(here / "p" / f"IMG_{i}.jpg", 1, taken=f"2026:05:01 10:00:0{i}")
        defocus = np.full((120, 160), 255, np.uint8)
        defocus[30:90, 40:120] = round(255 * (1 - share))
        (here / "maps" / f"{i}a.png").write_bytes(images.encode_png(defocus))
        rows.append(ok(photo, 0.5, map=f"{i}a.png", center_blur=share))
    assert [row.sharpest for row in pictured(here, rows)] == [False, True, False]


def test_photos_without_thumbnails_are_in_no_burst(here):
    rows = pictured(here / "out", [ok(save_photo(here / "IMG_1.jpg")), ok(here / "IMG_2.jpg")])
    assert [row.burst for row in rows] == [None, None]
