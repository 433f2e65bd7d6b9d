"""The wheel, installed into a bare environment outside of the checkout, with nothing but what it says it needs.

The packages are those of this environment, linked one by one as the wheel's metadata names them: no network is needed,
and a package that is used but not named is not found.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from pipelines.project.samples import samples

ROOT = Path(__file__).parents[2]
LIGHT = {
    "numpy",
    "opencv-python-headless",
    "pillow",
    "simplejpeg",
    "safetensors",
    "onnxruntime",
    "pydantic",
    "pyyaml",
    "tqdm",
}


def needs(requirements: list[str] | None) -> set[str]:
    """Return the names of the requirements that no extra brings."""
    plain = [line for line in requirements or [] if "extra ==" not in line]
    return {re.split(r"[^\w.-]", line)[0].lower() for line in plain if "sys_platform" not in line}


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess:
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # which may name the checkout
    parts = [str(part) for part in command]
    return subprocess.run(parts, cwd=cwd, env=ours, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """Return an empty folder, with the environment in `venv`."""
    home = tmp_path_factory.mktemp("a newcomer")
    source = home / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("r2mrf", "pipelines"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = "from setuptools import build_meta as build; print(build.build_wheel('..'))"
    built = run(sys.executable, "-c", build, cwd=source)
    assert built.returncode == 0, built.stderr[-2000:]
    shutil.rmtree(source)
    (wheel,) = home.glob("*.whl")
    assert run(sys.executable, "-m", "venv", "--without-pip", "venv", cwd=home).returncode == 0
    python = home / "venv/bin/python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--quiet", wheel)
    installed = run(*pip, cwd=home)
    assert installed.returncode == 0, installed.stderr
    (library,) = (home / "venv/lib").glob("python*/site-packages")
    link_what_it_needs(library)
    return home


def link_what_it_needs(library: Path) -> None:
    (facts,) = metadata.distributions(name="r2mrf", path=[str(library)])
    todo, done = needs(facts.requires), set()
    assert todo == LIGHT
    while todo:
        done.add(name := todo.pop())
        found = metadata.distribution(name)
        todo |= needs(found.requires) - done
        tops = {Path(file).parts[0] for file in found.files or []} - {"..", "__pycache__"}
        for top in tops | ({"opencv_python.libs"} if name == "opencv-python-headless" else set()):
            target = Path(str(found.locate_file(top)))
            if target.exists() and not (library / top).exists():
                (library / top).symlink_to(target)


def hint(home: Path, *wanted: str) -> str:
    """Return the command that installs an extra, given in brackets, or packages into the environment."""
    (wheel,) = home.glob("*.whl")
    arguments = [f"{wheel}{one}" if one.startswith("[") else one for one in wanted]
    return f"`{shlex.join([str(home / 'venv/bin/python'), '-m', 'pip', 'install', *arguments])}`"


def refused(home: Path, *command: object) -> str:
    """Run a command that cannot run here; return its only line."""
    done = run(*command, cwd=home)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    (line,) = done.stderr.splitlines()
    return line


def test_map_of_a_photo(home):
    done = run(home / "venv/bin/r2mrf", "map", samples()[0], "-o", "map.png", cwd=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert (home / "map.png").is_file()


def test_predictor(home):
    code = (
        "import sys; from r2mrf import Predictor, UserError, images\n"
        f"rgb = images.load({str(samples()[0])!r}); defocus = Predictor.load('lite')(rgb)\n"
        "assert defocus.shape == rgb.shape[:2] and 0 <= defocus.min() < defocus.max() <= 1\n"
        "print(sorted({'torch', 'ray', 'mlflow', 'pyarrow'} & set(sys.modules)))"
    )
    done = run(home / "venv/bin/python", "-c", code, cwd=home)
    assert done.stdout.splitlines() == ["[]"], done.stderr


def test_predictor_says_what_is_wrong_or_missing(home):
    calls = (
        "'nowhere'",
        "'models:/r2mrf@champion'",
        "'lite', engine='foo'",
        "'lite', threads=0",
        "'lite', engine='torch'",
        "'lite', precision='bf16'",
    )
    tried = "".join(f"try: Predictor.load({call})\nexcept UserError as error: print(error)\n" for call in calls)
    done = run(home / "venv/bin/python", "-c", f"from r2mrf import Predictor, UserError\n{tried}", cwd=home)
    nowhere, *others = done.stdout.splitlines()
    assert nowhere.startswith("nowhere: no such model; a model is a folder with "), done.stderr
    assert others == [
        f"models:/r2mrf@champion needs mlflow, which is not installed: {hint(home, '[pipeline]')}",
        "no engine 'foo': use one of torch, openvino, onnx, or auto",
        "threads 0: give a number from 1, or None for as many as there is room for",
        f"torch is not installed: {hint(home, '[score]')}",
        f"the precision bf16 needs torch, which is not installed: {hint(home, '[score]')}",
    ]


def test_map_of_a_folder_says_what_maps_its_photos(home):
    (home / "my photos").mkdir(exist_ok=True)
    done = run(home / "venv/bin/r2mrf", "map", "my photos", cwd=home)
    assert done.returncode == 1
    assert "`r2mrf map 'my photos'/*.jpg -o maps`" in done.stderr
    assert "`r2mrf score 'my photos' --out scores`" in done.stderr


@pytest.mark.parametrize("command", [("map", samples()[0]), ("app", "--port", "0")], ids=["map", "app"])
def test_model_that_does_not_exist(home, command):
    line = refused(home, home / "venv/bin/r2mrf", *command, "--model", "models/nowhere")
    assert line.startswith("r2mrf: models/nowhere: no such model; ")


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        (("score", ".", "--out", "scores"), "score"),
        (("report", "."), "score"),
        (("export", "--format", "onnx", "-o", "exported"), "score"),
        (("app", "--port", "0"), "app"),
    ],
    ids=["score", "report", "export", "app"],
)
def test_a_command_that_needs_more_says_what(home, command, missing):
    line = refused(home, home / "venv/bin/r2mrf", *command)
    said, _, asked = line.partition(", which is not installed: ")
    assert re.fullmatch(rf"r2mrf: `r2mrf {command[0]}` needs \w+", said)
    assert asked == hint(home, f"[{missing}]")


def test_completion_says_what_it_needs(home):
    done = run(home / "venv/bin/r2mrf", "--print-completion", "bash", cwd=home)
    assert done.returncode == 2
    asked = f"--print-completion needs shtab, which is not installed: {hint(home, 'shtab')}\n"
    assert done.stderr.endswith(asked)


def test_packages_are_named_where_the_wheel_is_gone(home):
    (wheel,) = home.glob("*.whl")
    gone = wheel.rename(home / "gone")
    try:
        line = refused(home, home / "venv/bin/r2mrf", "app", "--port", "0")
    finally:
        gone.rename(wheel)
    assert line.endswith(f"which is not installed: {hint(home, 'starlette==1.10.0', 'uvicorn==0.54.0')}")


PROGRAMS = [
    ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for folder in ("pipelines", "pipelines/jobs")
    for file in sorted((ROOT / folder).glob("[!_]*.py"))
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_that_needs_more_says_what(home, program):
    line = refused(home, home / "venv/bin/python", "-m", program)
    said, _, asked = line.partition(", which is not installed: ")
    assert re.fullmatch(rf"error: `python -m {program}` needs [\w-]+", said)
    assert asked == hint(home, "[pipeline]")


@pytest.mark.parametrize(
    ("example", "arguments", "missing", "wanted"),
    [
        ("recurrent_steps.py", ("a.jpg",), "torch and matplotlib, which are", ("[score]", "matplotlib")),
        ("camera_shake.py", ("a", "b", "c"), "scikit-learn, which is", ("scikit-learn",)),
    ],
    ids=["recurrent_steps", "camera_shake"],
)
def test_an_example_that_needs_more_says_what(home, example, arguments, missing, wanted):
    line = refused(home, home / "venv/bin/python", ROOT / "examples" / example, *arguments)
    assert line == f"`examples/{example}` needs {missing} not installed: {hint(home, *wanted)}"
    help_ = run(home / "venv/bin/python", ROOT / "examples" / example, "--help", cwd=home)
    assert (help_.returncode, help_.stderr) == (0, "")


def test_the_example_of_fine_detail_needs_no_more(home):
    done = run(home / "venv/bin/python", ROOT / "examples/fine_detail.py", samples()[0], cwd=home)
    assert done.stdout.startswith("out of focus at full view: "), done.stderr
    assert "Traceback" not in done.stderr
