"""The command line `r2mrf`: its help, examples and completion, and what it says to wrong usage."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.command.cli import main
from pipelines.command.grammar.parser import COMMANDS, EXAMPLES, parser
from tests.support.photos import save_photo

pytestmark = pytest.mark.usefixtures("here")


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


@pytest.mark.parametrize(
    "command", [["score", "", "--out", "x"], ["score", "a", "--out", ""], ["map", ""], ["map", "a", "-o", ""]]
)
def test_an_empty_name_is_not_the_current_folder(command, capsys):
    save_photo(Path("a.jpg"))
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2 and "empty: give a path or a name" in capsys.readouterr().err
    assert list(Path().iterdir()) == [Path("a.jpg")]


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
