"""`r2mrf evaluate`: anyone's saved maps against masks of the same stem."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.command.cli import main
from r2mrf.imaging import images

NAMES = ["f_05", "f_adaptive", "f_max", "images", "images_without_defocus", "iou", "mae"]


def mask(share: float = 0.5, height: int = 40, width: int = 60) -> np.ndarray:
    """Return a mask that is white from a column on."""
    pixels = np.zeros((height, width), np.uint8)
    pixels[:, round(width * (1 - share)) :] = 255
    return pixels


def save(path: str, pixels: np.ndarray) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(images.encode_png(pixels))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> None:
    """Return a folder with masks of two photos, and perfect maps of them."""
    monkeypatch.chdir(tmp_path)
    for name, share in (("a", 0.5), ("b", 0.25)):
        save(f"gt/{name}.png", mask(share))
        save(f"maps/{name}.png", mask(share))


@pytest.fixture
def run(capsys):
    def run(*arguments: str, maps="maps", masks="gt", file="figures/f.json") -> tuple[int, list[str], list[str]]:
        status = main(["evaluate", "--maps", maps, "--masks", masks, "--json", file, *arguments])
        out, err = capsys.readouterr()
        return status, out.splitlines(), err.splitlines()

    return run


def figures() -> dict:
    return json.loads(Path("figures/f.json").read_text())


def assert_perfect() -> None:
    found = figures()
    assert sorted(found) == NAMES
    assert (found["mae"], found["images"], found["images_without_defocus"]) == (0, 2, 0)
    assert [found[name] for name in ("f_05", "f_adaptive", "f_max", "iou")] == [1, 1, 1, 1]


def test_perfect_maps(run):
    status, out, err = run()
    assert (status, err) == (0, [])
    assert_perfect()
    assert sorted(line.split()[0] for line in out) == NAMES


def test_figures_by_hand(run):
    # the map of a says too much: 45 of 60 columns where 30 are right; that of b says 0.2 everywhere
    save("maps/a.png", mask(0.75))
    save("maps/b.png", np.full((40, 60), 51, np.uint8))
    assert run()[0] == 0
    found = figures()
    assert found["mae"] == pytest.approx((0.25 + (0.25 * 0.8 + 0.75 * 0.2)) / 2)
    # a: P = 2/3, R = 1; b: nothing reaches 0.5
    assert found["f_05"] == pytest.approx((1.3 * (2 / 3) / (0.3 * 2 / 3 + 1)) / 2)
    assert found["iou"] == pytest.approx(30 / (45 + 15))


def test_white_is_focus_in_both(run):
    for name, share in (("a", 0.5), ("b", 0.25)):
        save(f"inverted/{name}.png", 255 - mask(share))
    assert run("--map-white", "focus", maps="inverted")[0] == 0
    assert_perfect()
    assert run("--mask-white", "focus", masks="inverted")[0] == 0
    assert_perfect()
    assert run("--mask-white", "focus", "--map-white", "focus", maps="inverted", masks="inverted")[0] == 0
    assert_perfect()


def test_inverted_maps_are_all_wrong_and_the_options_of_polarity_are_named(run):
    status, _, err = run("--map-white", "focus")
    assert figures()["mae"] == 1
    assert figures()["f_05"] == figures()["iou"] == 0
    assert (status, err) == (
        0,
        [
            "warning: the maps agree better with the inverted masks (median of 2): give --mask-white focus if white "
            "means focus in the masks, or --map-white defocus if it means defocus in the maps"
        ],
    )
    assert run("--map-white", "focus", "--mask-white", "focus")[2] == []


@pytest.mark.parametrize("value", [0, 128, 255])
def test_maps_that_find_nothing_are_not_called_inverted(run, value):
    for name in ("a", "b"):
        save(f"maps/{name}.png", np.full((40, 60), value, np.uint8))
    assert run("--protocol", "d-dffnet")[2] == []


def test_one_wrong_map_among_right_ones_is_not_called_inverted(run):
    save("gt/c.png", mask())
    save("maps/c.png", 255 - mask())
    status, _, err = run()
    assert (status, err) == (0, [])


def test_photographs_in_place_of_masks_are_told(run):
    scene = np.random.default_rng(0).integers(20, 236, (40, 60), np.uint8)
    for name in ("a", "b"):
        save(f"photos/{name}.png", scene)
    status, out, err = run(masks="photos")
    assert (status, err) == (
        0,
        [
            "warning: photos/a.png, photos/b.png: more than 50% of the pixels are neither black nor white, so these "
            "look like photographs, not masks: check --masks"
        ],
    )
    assert sorted(line.split()[0] for line in out) == NAMES


def test_figures_are_printed_without_a_file(capsys):
    assert main(["evaluate", "--maps", "maps", "--masks", "gt"]) == 0
    assert sorted(line.split()[0] for line in capsys.readouterr().out.splitlines()) == NAMES
    assert sorted(path.name for path in Path().iterdir()) == ["gt", "maps"]


def test_maps_are_brought_to_the_masks_size(run):
    save("gt/a.png", mask(0.5, 40, 60))
    save("maps/a.png", mask(0.5, 20, 30))  # half the size
    save("maps/b.png", mask(0.25, 120, 180))  # three times
    assert run()[0] == 0
    assert figures()["mae"] < 0.01
    assert figures()["f_05"] > 0.99


def test_masks_of_another_format(run):
    Path("gt/a.png").unlink()
    Path("gt/a.bmp").write_bytes(bmp(mask(0.5)))
    assert run()[0] == 0
    assert_perfect()


def bmp(pixels: np.ndarray) -> bytes:
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "bmp")
    return file.getvalue()


def test_photo_without_defocus_is_counted(run):
    for folder in ("gt", "maps"):
        save(f"{folder}/b.png", np.zeros((40, 60), np.uint8))
    assert run()[0] == 0
    assert figures()["images_without_defocus"] == 1
    assert figures()["f_05"] == 1


def test_files_without_a_counterpart(run):
    save("maps/only-map.png", mask())
    save("gt/only-mask.png", mask())
    status, _, err = run()
    assert status == 1
    assert err == [
        "failed: maps/only-map.png: no mask with this stem in gt",
        "failed: gt/only-mask.png: no map with this stem in maps",
    ]
    assert_perfect()


def test_damaged_file(run):
    save("gt/c.png", mask())
    Path("maps/c.png").write_text("no picture")
    status, _, err = run()
    assert status == 1
    assert len(err) == 1
    assert err[0].startswith("failed: maps/c.png compared with gt/c.png: not_an_image: ")
    assert_perfect()


def test_what_a_desktop_leaves_in_folders_is_passed_over(run):
    Path("maps/.DS_Store").touch()
    Path("gt/sub").mkdir()
    assert run()[0] == 0
    assert_perfect()


def test_two_files_of_one_stem(run):
    Path("maps/a.jpg").write_bytes(images.encode_jpeg(np.zeros((40, 60, 3), np.uint8)))
    status, out, err = run()
    assert (status, out, len(err)) == (2, [], 1)
    assert "maps/a.jpg and a.png have the same stem" in err[0]


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"maps": "absent"}, ["absent: no such folder"]),
        ({"masks": "gt/a.png"}, ["gt/a.png: no such folder"]),
        ({"maps": "empty"}, ["no map in empty", "gt/a.png: no map with this stem in empty"]),
        ({"file": "gt"}, ["gt: cannot be written (Is a directory)"]),
        ({"file": "gt/a.png/f.json"}, ["gt/a.png/f.json: cannot be written (File exists)"]),
    ],
    ids=["no folder", "a file", "nothing to compare", "json is a folder", "json below a file"],
)
def test_could_not_run(run, changes, parts):
    Path("empty").mkdir()
    status, _, err = run(**changes)
    assert (status, len(err)) == (2, 1)
    for part in ("r2mrf: ", *parts):
        assert part in err[0]
    assert sorted(path.name for path in Path().iterdir()) == ["empty", "gt", "maps"]


def test_masks_of_0_and_1_are_read_and_counted(run):
    for name, share in (("a", 0.5), ("b", 0.25)):
        save(f"classes/{name}.png", mask(share) // 255)
    status, _, err = run(masks="classes")
    assert status == 0
    assert_perfect()
    assert err == [
        "note: 2 masks are of 0 and 1 instead of 0 and 255; 1 is read as white (classes/a.png, classes/b.png)"
    ]


@pytest.mark.parametrize("file", ["gt/b.png", "maps/a.png", "link.json"])
def test_maps_and_masks_are_not_overwritten_by_figures(run, file):
    Path("link.json").symlink_to("gt/a.png")
    before = Path(file).read_bytes()
    status, _, err = run(file=file)
    assert (status, len(err)) == (2, 1)
    assert "would be overwritten" in err[0]
    assert Path(file).read_bytes() == before


def test_a_mask_that_is_not_certain_is_listed_and_given_values_read_it(run):
    save("gt/a.png", mask() // 255 * 90)
    status, _, err = run()
    assert status == 1
    assert "a.png" in err[0] and "ambiguous" in err[0] and "--mask-values" in err[0]
    for name, share in (("a", 0.5), ("b", 0.25)):
        save(f"gt/{name}.png", mask(share) // 255 * 90)
    assert run("--mask-values", "0,90")[0] == 0
    assert_perfect()


@pytest.mark.parametrize("values", ["1", "1,1", "0,256", "a,b", "-1,2"])
def test_mask_values_that_are_none(run, values, capsys):
    with pytest.raises(SystemExit) as ended:
        run(f"--mask-values={values}")
    assert ended.value.code == 2


def test_stretched_maps_are_told_and_turned_ones_refused(run):
    save("maps/a.png", mask(height=40, width=90))
    save("maps/b.png", np.ascontiguousarray(mask(0.25).T))
    status, _, err = run()
    assert status == 1
    assert any("stretched (maps/a.png)" in line for line in err)
    assert any("maps/b.png" in line and "rotate one of them" in line for line in err)
    save("maps/b.png", mask(0.25, 64, 64))  # as a network gives it
    status, _, err = run()
    assert status == 0 and "b.png" not in "".join(err)


def test_stems_meet_however_their_accents_are_written(run):
    save("maps/caf\u00e9.png", mask())
    save("gt/cafe\u0301.png", mask())
    assert run()[0] == 0
    assert figures()["images"] == 3


def test_a_published_protocol_by_name(run):
    save("maps/a.png", mask(0.75))  # 45 of 60 columns where 30 are right
    status, out, err = run("--protocol", "d-dffnet")
    assert (status, err) == (0, [])
    found = figures()
    assert list(found) == ["protocol", "positive", "mae", "f_05", "f_05_or_all", "iou", "images"]
    assert found["f_05"] == pytest.approx((1.3 * (2 / 3) / (0.3 * 2 / 3 + 1) + 1) / 2)
    assert [line.split()[0] for line in out] == list(found)


def test_the_positive_class_is_the_protocols_own_unless_it_is_given(run):
    save("maps/a.png", mask(0.75))
    run("--protocol", "dd")
    assert figures()["positive"] == "focus"
    run("--protocol", "dd", "--positive", "defocus")
    assert figures()["positive"] == "defocus"
    status, _, err = run("--positive", "focus")
    assert (status, err) == (2, ["r2mrf: --positive focus goes with a published protocol: add --protocol"])
