"""Commands in the documents work: README.md's commands are run, where that takes no hours; all others
are asked of the programs that they call: is there such a command, option, target, stage, parameter, file?"""

import ast
import contextlib
import importlib.util
import inspect
import io
import json
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import pytest
import yaml

from pipelines.app import server
from pipelines.command.cli import main
from pipelines.command.grammar.parser import parser
from pipelines.project.samples import samples
from pipelines.registry import serving
from pipelines.report import sidecars
from pipelines.scoring import reader
from r2mrf import config
from r2mrf.imaging import images
from r2mrf.network import model_folder
from r2mrf.system import sandbox
from tests.support.documents import DOCUMENTS, ROOT, blocks, commands

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
README = [
    (block.language, text)
    for block in blocks("README.md")
    for text in ([block.text] if block.language else block.text.splitlines())
    if block.language != "text"
]


# --- README.md, run as it stands, from top to bottom ---------------------------------------------------------------


@pytest.fixture(scope="module")
def desk(tmp_path_factory, tiny_model) -> Path:
    """Return a folder with the files that README.md uses (a photo, photos, maps and masks) and a tiny model."""
    folder = tmp_path_factory.mktemp("desk")
    for name in ("photos", "maps", "masks", "weights"):
        (folder / name).mkdir()
    (folder / "weights/lite").symlink_to(tiny_model)
    for photo in samples():
        shutil.copy(photo, folder / "photos")
    shutil.copy(folder / "photos/flower.jpg", folder / "photo.jpg")
    for name in ("maps", "masks"):
        (folder / name / "flower.png").write_bytes(images.encode_png(images.load(folder / "photo.jpg")[..., 0]))
    return folder


@pytest.fixture(scope="module")
def typed() -> dict:
    """Return the variables of README.md's Python, which each block shares with the next."""
    return {}


def shown(text: str) -> str:
    return text.strip().splitlines()[0][:70]


@pytest.mark.parametrize(("language", "text"), README, ids=[shown(text) for _, text in README])
def test_readme(desk, typed, monkeypatch, capsys, language, text):
    monkeypatch.chdir(desk)
    if "engine=" in text or "export" in text:  # which turn the network into other forms: minutes on a busy machine
        monkeypatch.setattr(model_folder, "RELEASED", desk / "weights")
    if language == "python":
        exec(compile(text, "README.md", "exec"), typed)
        printed = capsys.readouterr().out
        if "print" in text:
            same_table(printed, next(block.text for block in blocks("README.md") if block.language == "text"))
        return
    command = text.partition(" #")[0].split()
    if command[0] == ".venv/bin/r2mrf":
        assert main(command[1:]) == 0
    elif command[0] == ".venv/bin/python":
        monkeypatch.setattr(sys, "argv", command[1:])
        runpy.run_path(str(ROOT / command[1]), run_name="__main__")
    elif command[0] == "source":
        assert command[1] == ".venv/bin/activate"
    else:  # takes minutes or hours, or a cluster
        check(command)


def same_table(ours: str, theirs: str) -> None:
    """Check that a table equals that of README.md, up to rounding by another engine or processor."""
    mine, other = ([line.split() for line in table.strip().splitlines()] for table in (ours, theirs))
    assert mine[0] == other[0]
    assert len(mine) == len(other)
    for row, expected in zip(mine[1:], other[1:], strict=True):
        numbers = [i for i, word in enumerate(expected) if re.fullmatch(r"\d\.\d+", word)]
        assert [word for i, word in enumerate(row) if i not in numbers] == [
            word for i, word in enumerate(expected) if i not in numbers
        ]
        assert [float(row[i]) for i in numbers] == pytest.approx([float(expected[i]) for i in numbers], abs=0.02)


def test_readme_leaves_what_it_says(desk):
    """Check the files that the commands above have written."""
    for name in ("map.png", "overlays/map.jpg", "scores/report.html", "scores.csv", "exported/model.json"):
        assert (desk / name).stat().st_size > 100, name
    assert len(list((desk / "scores/maps").glob("*.png"))) == len(samples())
    assert len(list((desk / "sidecars").glob("*.xmp"))) == len(samples())
    assert sorted(path.name for path in (desk / "steps").iterdir()) == ["branches.png", "steps.png", "thresholds.png"]


@pytest.mark.parametrize("text", [block.text for block in blocks("docs/interop.md") if block.language], ids=shown)
def test_examples_for_other_programs(desk, monkeypatch, text):
    """Run the examples on what the commands above have written."""
    monkeypatch.chdir(desk)
    exec(compile(text, "docs/interop.md", "exec"), {})


def test_maps_are_compared_in_python(desk, monkeypatch, capsys):
    """Run the blocks of evaluation.md one after the other, on maps that are their own masks."""
    monkeypatch.chdir(desk)
    variables: dict = {}
    for text in (block.text for block in blocks("docs/evaluation.md") if block.language):
        exec(compile(text, "docs/evaluation.md", "exec"), variables)
    ours, pysod = map(ast.literal_eval, capsys.readouterr().out.splitlines())
    assert (ours["f_05"], ours["images"]) == (1, 1)
    assert pysod["protocol"] == "pysod" and 0.9 < pysod["f_max"] <= 1


def test_the_examples_leave_masks_and_a_map(desk):
    masks = json.loads((desk / "coco.json").read_text())
    assert len(masks["images"]) == len(masks["annotations"]) == len(samples())
    for image, mask in zip(masks["images"], masks["annotations"], strict=True):
        assert mask["segmentation"]["size"] == [image["height"], image["width"]]
    assert images.load(desk / "onnx.png").shape == images.load(desk / "photo.jpg").shape


# --- every command in every document -------------------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_are_known(document):
    for command in commands(document):
        if not re.search(r"\$|…|\.\.\.|\b[A-Z]{2,}\b(?!\.)", command):  # what the reader is to fill in
            check(command.split())


def test_security_states_the_limits_of_the_code():
    text = (ROOT / "SECURITY.md").read_text()
    memory = ((1 << 30) + reader.BYTES_A_PIXEL * images.MAX_PIXELS) / 2**30
    tries = inspect.signature(sandbox.Guard).parameters["tries"].default
    for row in (
        f"| size of a photo's file | {images.MAX_BYTES:,} bytes |",
        f"| size of a decoded photo | {images.MAX_PIXELS:,} pixels,",
        f"| formats | {', '.join(images.FORMATS)} |",
        f"1 GiB + {reader.BYTES_A_PIXEL} bytes per allowed pixel: {memory:.2f} GiB by default |",
        f"| {config.Score().seconds:g} seconds (`score.seconds`), plus {sandbox.GRACE:g} for the process to end |",
        f"| attempts at a photo that crashes or hangs, in bulk scoring | {tries} |",
        f"| {serving.MAX_PHOTOS} photos and {serving.MAX_BYTES:,} bytes of them; {serving.MAX_CLOSE} photo if a view",
        f"| the body of that request | {serving.MAX_BODY:,} bytes;",
        f"| a photo's file in `r2mrf app` | {server.MAX_BYTES:,} bytes |",
        f"| {serving.SECONDS} seconds and {serving.MEMORY:,} bytes of memory to decode it",
        f"| a sidecar that is merged | {sidecars.MAX_BYTES:,} bytes |",
    ):
        assert row in text, row


def check(command: list[str]) -> None:
    program, *arguments = command
    CHECKS[program](arguments)


def check_make(targets: list[str]) -> None:
    done = subprocess.run(["make", "-n", *targets], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def check_r2mrf(arguments: list[str]) -> None:
    arguments = arguments if len(arguments) > 1 else [*arguments, "--help"]  # a command that is only named
    with contextlib.redirect_stdout(io.StringIO()):
        parsed(lambda: parser().parse_args(arguments), arguments)


def check_dvc(arguments: list[str]) -> None:
    from dvc.cli import parse_args

    options = parsed(lambda: parse_args(arguments), arguments)
    if arguments[0] in ("repro", "commit") or arguments[:2] == ["exp", "run"]:
        assert set(options.targets) <= set(STAGES), arguments
    overrides: dict = {}
    for setting in getattr(options, "set_param", None) or []:
        key, _, value = setting.partition("=")
        *sections, leaf = key.split(".")
        place = overrides
        for section in sections:
            place = place.setdefault(section, {})
        place[leaf] = yaml.safe_load(value)
    with tempfile.TemporaryDirectory() as folder:
        changed = Path(folder) / "params.yaml"
        changed.write_text(yaml.safe_dump({"base": str(ROOT / "params.yaml"), **overrides}))
        config.load(changed)


def check_python(arguments: list[str]) -> None:
    """Check a file or module of the project: its source must contain the options."""
    if arguments[0] == "-m":
        found = importlib.util.find_spec(arguments[1])
        assert found and found.origin, arguments
        source = Path(found.origin)
    else:
        source = ROOT / arguments[0]
    text = source.read_text()
    for option in (word for word in arguments[1:] if word.startswith("--")):
        assert f'"{option}"' in text, arguments


def check_ray(arguments: list[str]) -> None:
    from ray.scripts.scripts import cli

    known(cli, arguments)


def check_mlflow(arguments: list[str]) -> None:
    from mlflow.cli import cli

    known(cli, arguments)


def known(group, arguments: list[str]) -> None:
    """Return whether a group has this command with these options, without running it."""
    name, *rest = arguments
    command = group.commands[name]
    if hasattr(command, "commands"):
        return known(command, rest)
    with contextlib.suppress(click.MissingParameter):  # a command that is only named
        command.make_context(name, rest)


def parsed(parse, arguments: list[str]):
    try:
        return parse()
    except SystemExit as end:  # --help ends with 0
        assert not end.code, arguments


CHECKS = {
    "make": check_make,
    "r2mrf": check_r2mrf,
    "dvc": check_dvc,
    "python": check_python,
    "ray": check_ray,
    "mlflow": check_mlflow,
}
