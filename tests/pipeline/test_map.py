"""`r2mrf map` writes a map for every good photo where one expects it, names the bad ones, and overwrites no photo."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from r2mrf import Predictor
from r2mrf.imaging import images
from r2mrf.imaging.maps import overlay, to_uint8
from r2mrf.network import model_folder
from r2mrf.prediction.radius import to_hundredths
from tests.support.command import command, refused
from tests.support.photos import save_photo

pytestmark = pytest.mark.usefixtures("here")


def files(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def test_one_photo_to_a_file(run, tiny_model):
    save_photo(Path("photo.png"))
    assert run("map", "photo.png", "-o", "deep/er/map.png") == (0, ["deep/er/map.png"], [])
    got = images.decode_mask(Path("deep/er/map.png").read_bytes())
    expected = Predictor.load(tiny_model)(images.load("photo.png"))
    np.testing.assert_array_equal(got, to_uint8(expected))
    assert files("deep/er") == ["map.png"]


def test_map_is_8_bit_grey_without_alpha(run):
    save_photo(Path("photo.png"))
    run("map", "photo.png", "-o", "map.png")
    with Image.open("map.png") as image:
        assert (image.mode, image.size, image.format) == ("L", (80, 60), "PNG")


@pytest.mark.parametrize(("turn", "size"), [(1, (60, 80)), (3, (60, 80)), (6, (80, 60)), (8, (80, 60))])
def test_map_has_the_displayed_size(run, turn, size):
    save_photo(Path("photo.jpg"), turn=turn)
    run("map", "photo.jpg", "-o", "map.png", "--overlay")
    assert images.load("map.png").shape[:2] == size
    assert images.load("overlays/map.jpg").shape[:2] == size


def test_several_photos_to_a_folder(run):
    photos = [save_photo(Path(name)) for name in ("a.jpg", "b.png", "odd name.v2.jpeg")]
    expected = ["out/a.png", "out/b.png", "out/odd name.v2.png"]
    assert run("map", *photos, "-o", "out") == (0, expected, [])
    assert files("out") == ["a.png", "b.png", "odd name.v2.png"]


def test_same_stems_are_kept_apart(run):
    # even if a file system ignores case
    sizes = {"x/a.jpg": (20, 30), "y/a.jpg": (30, 20), "z/a-2.png": (25, 25), "z/A.png": (40, 10)}
    photos = [save_photo(Path(name), size) for name, size in sizes.items()]
    _, written, _ = run("map", *photos, "-o", "out")
    assert written == ["out/a.png", "out/a-2.png", "out/a-2-2.png", "out/A-3.png"]
    assert [images.load(path).shape[:2] for path in written] == list(sizes.values())
    assert len(files("out")) == 4


def test_maps_go_into_the_folder_maps_if_nothing_is_said(run):
    save_photo(Path("a.jpg"))
    assert run("map", "a.jpg")[1] == ["maps/a.png"]


def test_folder_whose_name_ends_like_a_picture(run):
    save_photo(Path("a.jpg"))
    Path("out.png").mkdir()
    assert run("map", "a.jpg", "-o", "out.png")[1] == ["out.png/a.png"]


def test_overlay_lies_beside_the_map(run, tiny_model):
    save_photo(Path("a.jpg"))
    run("map", "a.jpg", "-o", "out", "--overlay")
    assert files("out") == ["a.png", "overlays"]
    rgb = images.load("a.jpg")
    expected = overlay(rgb, Predictor.load(tiny_model)(rgb))
    assert Path("out/overlays/a.jpg").read_bytes() == images.encode_jpeg(expected)


def test_names_as_long_as_names_can_be_cost_nobody_a_map(run):
    save_photo(Path("a.jpg"))
    for name in (f"{'n' * 251}.jpg", "m" * 255, "z.jpg"):
        Path(name).write_bytes(Path("a.jpg").read_bytes())
    status, out, err = run("map", f"{'n' * 251}.jpg", "m" * 255, "z.jpg", "-o", "out")
    assert (status, files("out"), len(out)) == (1, [f"{'n' * 251}.png", "z.png"], 2)
    assert err == [f"failed: {'m' * 255}: the name of its map would be longer than 255 bytes: give -o FILE.png for it"]


def test_again_the_same_bytes(run):
    save_photo(Path("a.jpg"))
    run("map", "a.jpg", "-o", "one", "--overlay")
    run("map", "a.jpg", "-o", "two", "--overlay")
    for name in ("a.png", "overlays/a.jpg"):
        assert (Path("one") / name).read_bytes() == (Path("two") / name).read_bytes()


def test_map_of_a_view_has_the_displayed_size_too(run, tiny_model):
    rgb = images.load(save_photo(Path("a.png"), (200, 150)))
    assert run("map", "a.png", "-o", "full.png", "--view", "full")[0] == 0
    assert run("map", "a.png", "-o", "100.png", "--view", "100")[0] == 0
    predictor = Predictor.load(tiny_model)
    for name, view in (("full", "full"), ("100", 100)):
        np.testing.assert_array_equal(images.load(f"{name}.png")[..., 0], to_uint8(predictor(rgb, view)))


def test_a_view_that_is_none_is_refused_before_anything_is_written(run):
    save_photo(Path("a.png"))
    refused(run("map", "a.png", "-o", "map.png", "--view", "huge"), "view huge: give whole, full")
    assert not Path("map.png").exists()


def test_radius_is_16_bit_grey_in_hundredths_of_a_pixel(run, tiny_model):
    rgb = images.load(save_photo(Path("a.png"), (200, 150)))
    assert run("map", "a.png", "-o", "radius.png", "--radius")[0] == 0
    with Image.open("radius.png") as image:
        stored = np.asarray(image)
    np.testing.assert_array_equal(stored, to_hundredths(Predictor.load(tiny_model).blur_radius(rgb)))


@pytest.mark.parametrize("other", [("--overlay",), ("--view", "full")])
def test_radius_goes_with_no_other_form(run, other):
    save_photo(Path("a.png"))
    refused(run("map", "a.png", "--radius", *other), "omit --view and --overlay")


def test_bad_photos_among_good_ones(run):
    good = [save_photo(Path(name)) for name in ("first.jpg", "last.png")]
    Path("text.jpg").write_text("no picture")
    Path("empty.jpg").touch()
    Path("cut.jpg").write_bytes(Path("first.jpg").read_bytes()[:1500])
    Path("folder.jpg").mkdir()
    Path("loop.jpg").symlink_to("loop.jpg")
    os.mkfifo("pipe.jpg")
    bad = ["text.jpg", "empty.jpg", "cut.jpg", "folder.jpg", "loop.jpg", "pipe.jpg", "absent.jpg"]
    status, out, err = run("map", good[0], *bad, good[1], "-o", "out")
    assert status == 1
    assert out == ["out/first.png", "out/last.png"]
    assert [line.split(": ")[:2] for line in err] == [["failed", name] for name in bad]
    reasons = ["not_an_image", "empty", "corrupt", "not_a_file", "not_a_file", "not_a_file", "unreadable"]
    assert [line.split(": ")[2] for line in err] == reasons
    assert files("out") == ["first.png", "last.png"]


def test_many_failures_are_not_all_listed(run):
    status, _, err = run("map", *(f"absent-{i}.jpg" for i in range(130)))
    assert status == 1
    assert len(err) == 101
    assert err[-1] == "failed: and 30 more"


def test_name_that_is_not_utf8(tiny_model):
    # a terminal that insists on UTF-8 gets the bytes of the name
    name = os.fsdecode(b"caf\xe9.jpg")
    save_photo(Path(name))
    command = [sys.executable, "-m", "pipelines.command.cli", "map", name, "-o", "out", "--model", str(tiny_model)]
    strict = os.environ | {"PYTHONIOENCODING": "utf-8:strict", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, env=strict, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"out/caf\xe9.png\n", b"")
    assert files("out") == [os.fsdecode(b"caf\xe9.png")]


def test_model_that_is_not_there():
    save_photo(Path("a.jpg"))
    for model in ("no/such/model", "a.jpg", "gopher:/model@x"):
        refused(command("map", "a.jpg", "--model", model), model)


def test_the_released_model_is_the_default(here, tiny_model, monkeypatch):
    monkeypatch.setattr(model_folder, "RELEASED", here / "weights")
    save_photo(Path("a.jpg"))
    Path("weights").mkdir()
    Path("weights/lite").symlink_to(tiny_model)
    assert command("map", "a.jpg") == (0, ["maps/a.png"], [])


def test_photos_are_never_overwritten(run):
    Path("overlays").mkdir()
    for name in ("a.png", "overlays/a.jpg"):
        save_photo(Path(name))
    Path("link.png").symlink_to("a.png")
    before = {name: Path(name).read_bytes() for name in ("a.png", "overlays/a.jpg")}
    refused(run("map", "a.png", "-o", "."), "a.png is one of the pictures")
    refused(run("map", "a.png", "-o", "a.png"), "a.png is one of the pictures")
    refused(run("map", "a.png", "-o", "link.png"), "link.png is one of the pictures")
    refused(run("map", "link.png", "-o", "a.png"), "a.png is one of the pictures")
    Path("b").mkdir()
    b = save_photo(Path("b/a.jpg"))
    refused(run("map", b, "overlays/a.jpg", "-o", ".", "--overlay"), "a.jpg is one of the pictures")
    assert {name: Path(name).read_bytes() for name in before} == before


def test_a_photo_that_is_too_long_for_an_overlay_costs_no_other(run):
    Path("long.png").write_bytes(images.encode_png(np.zeros((9, 66_000), np.uint8)))
    save_photo(Path("b.jpg"))
    status, out, err = run("map", "long.png", "b.jpg", "-o", "maps", "--overlay")
    assert (status, out) == (1, ["maps/b.png"])
    assert err == ["failed: long.png: too_large: 66000×9 pixels do not fit into a JPEG"]
    assert sorted(str(file) for file in Path("maps").rglob("*.*")) == ["maps/b.png", "maps/overlays/b.jpg"]


def test_one_file_for_two_photos(run):
    photos = [save_photo(Path(name)) for name in ("a.jpg", "b.jpg")]
    refused(run("map", *photos, "-o", "map.png"), "map.png is a single file, but there are 2 photos")


def test_file_of_another_format(run):
    save_photo(Path("a.jpg"))
    refused(run("map", "a.jpg", "-o", "map.JPG"), "map.JPG: maps are written as PNG")
    assert not Path("map.JPG").exists()


def test_output_that_cannot_be_written(run):
    save_photo(Path("a.jpg"))
    Path("file").touch()
    refused(run("map", "a.jpg", "-o", "file"), "file/a.png: cannot be written (File exists)")
    refused(run("map", "a.jpg", "-o", "file/deep/map.png"), "file/deep/map.png: cannot be written")
    Path("out/a.png").mkdir(parents=True)
    refused(run("map", "a.jpg", "-o", "out"), "out/a.png: cannot be written (Is a directory)")
