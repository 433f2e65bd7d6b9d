"""The wheel, installed into a bare environment outside of the checkout, with nothing but what it says it needs.

The packages are those of this environment, linked one by one as the wheel's metadata names them: no network is needed,
and a package that is used but not named is not found.
"""

import re
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
    return subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=300)


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


def test_map_of_a_photo(home):
    done = run(home / "venv/bin/r2mrf", "map", samples()[0], "-o", "map.png", cwd=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert (home / "map.png").is_file()


def test_predictor(home):
    code = (
        "import sys; from r2mrf import Predictor, UserError, images\n"
        f"rgb = images.load({str(samples()[0])!r}); defocus = Predictor.load('lite')(rgb)\n"
        "assert defocus.shape == rgb.shape[:2] and 0 <= defocus.min() < defocus.max() <= 1\n"
        "print(sorted({'torch', 'ray', 'mlflow', 'pyarrow'} & set(sys.modules)))\n"
        "try: Predictor.load('lite', engine='torch')\n"
        "except UserError as error: print(error)"
    )
    done = run(home / "venv/bin/python", "-c", code, cwd=home)
    asked = 'torch needs torch, which is not installed: `pip install "r2mrf[score]"`'
    assert done.stdout.splitlines() == ["[]", asked], done.stderr


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
    done = run(home / "venv/bin/r2mrf", *command, cwd=home)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert re.fullmatch(
        rf'r2mrf: `r2mrf {command[0]}` needs \w+, which is not installed: `pip install "r2mrf\[{missing}\]"`', line
    )


@pytest.mark.parametrize(
    ("example", "arguments", "missing"),
    [("recurrent_steps.py", (), "pipeline"), ("camera_shake.py", ("a", "b", "c"), "train")],
    ids=["recurrent_steps", "camera_shake"],
)
def test_an_example_that_needs_more_says_what(home, example, arguments, missing):
    done = run(home / "venv/bin/python", ROOT / "examples" / example, *arguments, cwd=home)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert re.fullmatch(
        rf'`examples/{example}` needs \w+, which is not installed: `pip install "r2mrf\[{missing}\]"`', line
    )
    help_ = run(home / "venv/bin/python", ROOT / "examples" / example, "--help", cwd=home)
    assert (help_.returncode, help_.stderr) == (0, "")


def test_the_example_of_fine_detail_needs_no_more(home):
    done = run(home / "venv/bin/python", ROOT / "examples/fine_detail.py", samples()[0], cwd=home)
    assert done.stdout.startswith("out of focus at full view: "), done.stderr
    assert "Traceback" not in done.stderr
