"""Hostile input files (wrong types, deep nesting, duplicate keys, absurd sizes, pipes) end in one sentence."""

import json
import os
import shutil
from pathlib import Path

import pytest

from r2mrf import config
from r2mrf.errors import ConfigError, UserError
from r2mrf.network import checkpoint, model_folder
from r2mrf.network.model_folder import RELEASED, CheckpointError
from r2mrf.system import strict_json

PARAMS = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture
def model(tmp_path) -> Path:
    for name in (model_folder.WEIGHTS, model_folder.FACTS):
        shutil.copy(RELEASED / "lite" / name, tmp_path)
    return tmp_path


def refused(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(folder)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 700
    return str(caught.value)


def change(folder: Path, section: str, **values) -> None:
    facts = json.loads((folder / model_folder.FACTS).read_text())
    facts[section] |= values
    (folder / model_folder.FACTS).write_bytes(model_folder.facts_to_json(facts))


@pytest.mark.parametrize(
    ("section", "values", "named"),
    [
        ("preprocess", {"mean": [0.5] * 4}, "preprocess.mean"),
        ("preprocess", {"std": [0.5, 0, 0.5]}, "preprocess.std"),
        ("preprocess", {"mean": None}, "preprocess.mean"),
        ("preprocess", {"size": "320"}, "preprocess: size 320 is not"),
        ("preprocess", {"more": 1}, "more"),
        ("model", {"amdf_width": 10**6}, "amdf_width"),
        ("model", {"amdf_width": 4000}, "amdf.merge.weight"),
        ("model", {"width": 4096}, "model: branches"),
        ("model", {"steps": 99}, "steps"),
        ("model", {"backbone": 7}, "backbone"),
    ],
)
def test_a_model_json_that_does_not_fit_is_refused_by_key(model, section, values, named):
    change(model, section, **values)
    assert named in refused(model)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"model": {}, "model": {}}',
        b'{"n": ' + b"9" * 10_000 + b"}",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"x": "' + b"y" * strict_json.MOST_BYTES + b'"}',
    ],
    ids=["deep lists", "deep objects", "twice", "huge number", "no text", "a list", "nothing", "too long"],
)
def test_a_model_json_that_is_no_sound_json_is_refused(model, content):
    (model / model_folder.FACTS).write_bytes(content)
    assert model_folder.FACTS in refused(model)


@pytest.mark.parametrize("name", [model_folder.WEIGHTS, model_folder.FACTS])
def test_pipes_in_a_model_folder_are_refused(model, name):
    (model / name).unlink()
    os.mkfifo(model / name)
    assert f"{name}: a folder, pipe" in refused(model)


def params(tmp_path: Path, change) -> str:
    file = tmp_path / "params.yaml"
    file.write_text(change(PARAMS.read_text()))
    with pytest.raises(ConfigError) as caught:
        config.load(file)
    assert len(str(caught.value)) < 1500
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda text: text + "\nseed: 1\nseed: 2\n", "seed occurs twice"),
        (lambda text: text + "\nx: " + "[" * 5000, "nested too deep"),
        (lambda text: text + "\n#" + "x" * (2 << 20), "at most"),
        (lambda text: text.replace("seed: ", "seed: 1844674407370955161"), "seed"),
        (
            lambda text: (
                "a: &a [1,2]\nb: &b [*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c]\n"
                "e: &e [*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f]\nseed: [*g,*g,*g,*g]\n"
            ),
            "seed",
        ),
    ],
    ids=["twice", "deep", "long", "huge", "aliases of aliases"],
)
def test_a_parameter_file_that_is_not_sound_is_refused_by_key(tmp_path, change, named):
    assert named in params(tmp_path, change)


def test_a_pipe_is_no_parameter_file(tmp_path):
    os.mkfifo(tmp_path / "params.yaml")
    with pytest.raises(UserError, match="pipe"):
        config.load(tmp_path / "params.yaml")
