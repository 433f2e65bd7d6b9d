"""The command `r2mrf`: maps of photos, exit statuses, and a line instead of a traceback."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines.command.cli import main
from pipelines.command.grammar.parser import COMMANDS, EXAMPLES, parser
from r2mrf import Predictor
from r2mrf.imaging import images
from r2mrf.imaging.maps import overlay, to_uint8
from r2mrf.network import model_folder
from r2mrf.prediction.radius import to_hundredths
from tests.support.photos import save_photo


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """Run every test in its own folder, with weights/ in the place of the packaged weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(model_folder, "RELEASED", tmp_path / "weights")
    return tmp_path


@pytest.fixture
def run(tiny_model, capsys):
    """Run `r2mrf` with the tiny model; return exit status, lines of output, lines of errors."""

    def run(*arguments: object) -> tuple[int, list[str], list[str]]:
        status = main([*map(str, arguments), "--model", str(tiny_model)])
        out, err = capsys.readouterr()
        return status, out.splitlines(), err.splitlines()

    return run


def refused(done: tuple[int, list[str], list[str]], *parts: str) -> None:
    """Check for exit status 2 and one line that contains these texts."""
    status, out, err = done
    assert status == 2
    assert out == []
    assert len(err) == 1
    for part in ("r2mrf: ", *parts):
        assert part in err[0]


def files(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


# --- map: where maps go ----------------------------------------------------------------------------------


def test_one_photo_to_a_file(run, tiny_model):
    save_photo(Path("photo.png"))
    assert run("map", "photo.png", "-o", "deep/er/map.png") == (0, ["deep/er/map.png"], [])
    got = images.decode_mask(Path("deep/er/map.png").read_bytes())
    expected = Predictor.load(tiny_model)(images.load("photo.png"))
    np.testing.assert_array_equal(got, to_uint8(expected))
    assert files("deep/er") == ["map.png"]


def test_map_is_8_bit_grey_without_alpha(run):
    from PIL import Image

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


@pytest.mark.parametrize(
    "command", [["score", "", "--out", "x"], ["score", "a", "--out", ""], ["map", ""], ["map", "a", "-o", ""]]
)
def test_an_empty_name_is_not_the_current_folder(command, capsys):
    save_photo(Path("a.jpg"))
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2 and "empty: give a path or a name" in capsys.readouterr().err
    assert files(".") == ["a.jpg"]


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
    from PIL import Image

    with Image.open("radius.png") as image:
        stored = np.asarray(image)
    np.testing.assert_array_equal(stored, to_hundredths(Predictor.load(tiny_model).blur_radius(rgb)))


@pytest.mark.parametrize("other", [("--overlay",), ("--view", "full")])
def test_radius_goes_with_no_other_form(run, other):
    save_photo(Path("a.png"))
    refused(run("map", "a.png", "--radius", *other), "omit --view and --overlay")


# --- map: bad photos -------------------------------------------------------------------------------------


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


def test_a_reader_who_leaves_is_no_error():
    save_photo(Path("maps/a.png"))
    options = ("--maps", "maps", "--masks", "maps", "--json", "f.json")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-m", "pipelines.command.cli", "evaluate", *options]
    with subprocess.Popen(command, env=environment, **pipe) as process:
        process.stdout.close()  # as `| head` does
        assert process.stderr.read() == b""
    assert process.returncode == 141


# --- map: could not run ----------------------------------------------------------------------------------


def test_model_that_is_not_there(capsys):
    save_photo(Path("a.jpg"))
    for model in ("no/such/model", "a.jpg", "gopher:/model@x"):
        status = main(["map", "a.jpg", "--model", model])
        refused((status, [], capsys.readouterr().err.splitlines()), model)


def test_the_released_model_is_the_default(tiny_model, capsys):
    save_photo(Path("a.jpg"))
    Path("weights").mkdir()
    Path("weights/lite").symlink_to(tiny_model)
    assert main(["map", "a.jpg"]) == 0
    assert capsys.readouterr().out == "maps/a.png\n"


def test_photos_are_never_overwritten(run):
    Path("overlays").mkdir()
    for name in ("a.png", "overlays/a.jpg"):
        save_photo(Path(name))
    Path("link.png").symlink_to("a.png")
    before = {name: Path(name).read_bytes() for name in ("a.png", "overlays/a.jpg")}
    refused(run("map", "a.png", "-o", "."), "a.png is one of the photos")
    refused(run("map", "a.png", "-o", "a.png"), "a.png is one of the photos")
    refused(run("map", "a.png", "-o", "link.png"), "link.png is one of the photos")
    refused(run("map", "link.png", "-o", "a.png"), "a.png is one of the photos")
    Path("b").mkdir()
    b = save_photo(Path("b/a.jpg"))
    refused(run("map", b, "overlays/a.jpg", "-o", ".", "--overlay"), "a.jpg is one of the photos")
    assert {name: Path(name).read_bytes() for name in before} == before


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


# --- export ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "written"), [("onnx", ["model.onnx"]), ("openvino", ["model.bin", "model.xml"])])
def test_export(run, tiny_model, form, written):
    facts = run("export", "--format", form, "-o", "deep/er")
    name = Predictor.load(tiny_model).checkpoint.name
    assert facts[::2] == (0, [])
    assert facts[1][0] == f"deep/er: {', '.join(written)}, model.json; {name}"
    assert facts[1][1].startswith("differs from torch by ")
    assert facts[1][1].endswith(", worst pixel (allowed: 0.001)")
    assert files("deep/er") == sorted([*written, "model.json"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-o", "out"], "--format and -o go together"),
        (["--format", "onnx"], "--format and -o go together"),
        ([], "give --format and -o, or --precision int8 and --calibrate"),
        (["--calibrate", "."], "--calibrate is for --precision int8"),
    ],
)
def test_export_without_what_it_needs(run, arguments, sentence):
    refused(run("export", *arguments), sentence)


def test_export_over_something_else(run):
    save_photo(Path("photos/a.jpg"))
    refused(run("export", "--format", "onnx", "-o", "photos"), "photos exists and is not an export for onnx")
    refused(run("export", "--format", "onnx", "-o", "photos/a.jpg"), "a.jpg exists and is not an export for onnx")
    Path("a").touch()
    refused(run("export", "--format", "onnx", "-o", "a/b"), "a/b: cannot be written (File exists)")
    assert files("photos") == ["a.jpg"]


def test_export_without_a_model(capsys):
    status = main(["export", "--format", "onnx", "-o", "out", "--model", "no/such/model"])
    refused((status, [], capsys.readouterr().err.splitlines()), "no/such/model", "a model is a folder with")
    assert not Path("out").exists()


# --- the command line itself -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["paint"],
        ["map"],
        ["map", "a.jpg", "--colour"],
        ["score", "."],
        ["score", ".", "--out", "s3://bucket/scores"],
        ["evaluate", "--maps", "."],
        ["export", "--format", "tflite", "-o", "out"],
        ["evaluate", "--maps", ".", "--masks", ".", "--json", "f", "--mask-white", "blur"],
    ],
    ids=" ".join,
)
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("usage: r2mrf")
    assert "error: " in err


def test_help_names_what_there_is():
    command = Path(sys.executable).with_name("r2mrf")
    done = subprocess.run([command, "--help"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for part in ("map", "score", "report", "evaluate", "export", "exit status", "examples"):
        assert part in done.stdout


@pytest.mark.parametrize("text", [EXAMPLES, *(command.EXAMPLES for command in COMMANDS.values())])
def test_examples_of_the_help_are_commands(text, capsys):
    examples = [re.split(r" {2,}", line.strip())[0].split() for line in text.splitlines() if line.startswith("  r2mrf")]
    assert examples
    for example in examples:
        options = example[1 : example.index(">")] if ">" in example else example[1:]
        if options[-1] == "--help" or options[0] == "--print-completion":
            with pytest.raises(SystemExit) as left:
                parser().parse_args(options)
            assert left.value.code == 0
        else:
            assert parser().parse_args(options).command == options[0]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("sc", {"score"}), ("score --by", {"--by-content"}), ("export --format o", {"onnx", "openvino"})],
)
def test_bash_completes(capsys, typed, offered):
    with pytest.raises(SystemExit) as left:
        main(["--print-completion", "bash"])
    assert left.value.code == 0
    words = ["r2mrf", *typed.split()]
    ask = f'COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}; _shtab_r2mrf; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash"], input=capsys.readouterr().out + ask, capture_output=True, text=True)
    assert set(done.stdout.split()) == offered, done.stderr


def test_help_needs_no_heavy_package():
    code = """
import sys
from pipelines.command.cli import main
try:
    main(["score", "--help"])
except SystemExit:
    print(sorted({"torch", "ray", "mlflow", "dvc", "cv2", "pyarrow"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"
