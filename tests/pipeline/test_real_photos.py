"""The job that measures a model on real photographs, on a few small ones drawn here."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.jobs import real_photos
from r2mrf.imaging import images
from r2mrf.system.machine import machine
from tests.support.box_photos import BOX, SIDE, photo_of_a_box, texture
from tests.support.model import save_tiny_model

PARAMS = Path(__file__).parents[2] / "released" / "rendered" / "params.yaml"


def write(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_png(picture))


@pytest.fixture
def photos(tmp_path) -> Path:
    """Return a folder laid out like the real one."""
    box = np.zeros((SIDE, SIDE), np.uint8)
    box[BOX] = 255
    for part, picture in {
        "real/people/image": photo_of_a_box(0), "real/people/gt": 255 - box,
        "real/lytro/images": photo_of_a_box(2), "real/lytro/masks": box, "real/lytro/confidence": box,
    }.items():  # fmt: skip
        write(tmp_path / part / "one.png", picture)
    for seed in range(4):
        write(tmp_path / f"sharp/mine/images/{seed}.png", texture(seed))
        write(tmp_path / f"sharp/mine/segments/{seed}.png", box)
    return tmp_path


def run(monkeypatch, *arguments: object) -> None:
    monkeypatch.setattr("sys.argv", ["real_photos", "--params", str(PARAMS), *map(str, arguments)])
    real_photos.main()


def test_figures_of_all_kinds_with_their_origin(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(real_photos, "provenance", lambda: {"git_commit": "0123abc"})
    model, out = save_tiny_model(tmp_path / "model"), tmp_path / "figures.json"
    run(monkeypatch, "--photos", photos, "--model", model, "--json", out)
    figures = json.loads(out.read_text())
    assert figures["commit"] == "0123abc" and figures["machine"] == machine()
    assert {figures[kind]["images"] for kind in ("human", "lytro", "lytro_full_view")} == {1}
    assert figures["photos"] == 1  # the test side of the split
    assert list(figures["ladder"]) == [f"{radius} px" for radius in real_photos.RADII if radius]


@pytest.mark.parametrize("name", ["real/people/image", "real/people/gt", "real/lytro/confidence"])
def test_a_damaged_file_is_named(photos, tmp_path, monkeypatch, capsys, name):
    damaged = photos / name / "one.png"
    damaged.write_bytes(damaged.read_bytes()[:-200])
    with pytest.raises(SystemExit) as left:
        run(monkeypatch, "--photos", photos, "--model", save_tiny_model(tmp_path / "model"))
    assert left.value.code == 2
    assert f"error: {damaged}: " in capsys.readouterr().err


def test_a_folder_without_photographs_is_refused(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "--photos", tmp_path)
    assert "it has no folder `real`" in capsys.readouterr().err
