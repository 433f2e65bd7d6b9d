"""The job that measures a model's blur scale: it stores the scale alone, and refuses photos that cannot show it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipelines.jobs.blur_scale import blur_scale, blurred
from pipelines.project.samples import samples
from r2mrf.errors import UserError
from r2mrf.imaging import images
from r2mrf.network import checkpoint
from r2mrf.network.model_folder import RELEASED


@pytest.fixture
def model(tmp_path) -> Path:
    """Return a copy of the released weights, so that nothing is written into the package."""
    return Path(shutil.copytree(RELEASED / "lite", tmp_path / "model"))


def folder_with(tmp_path: Path, rgb: np.ndarray) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "photo.png").write_bytes(images.encode_png(rgb))
    return folder


def test_the_measured_scale_is_stored_and_nothing_else_changes(model, tmp_path, capsys):
    coffee = images.load(next(path for path in samples() if path.stem == "coffee"))
    file = model / "model.json"
    before = json.loads(file.read_text())
    blur_scale(str(model), folder_with(tmp_path, coffee), checked=False)
    after = json.loads(file.read_text())
    assert str(file) in capsys.readouterr().out
    assert {name for name in after if after[name] != before[name]} <= {"blur_scale", "facts_sha256"}
    measured = checkpoint.load(model).blur_scale
    assert measured.measured
    assert measured.radius == pytest.approx(before["blur_scale"]["radius"], rel=0.5)


def test_photos_without_texture_are_refused(model, tmp_path):
    before = (model / "model.json").read_bytes()
    with pytest.raises(UserError, match="no photo has a textured part"):
        blur_scale(str(model), folder_with(tmp_path, np.full((200, 200, 3), 128, np.uint8)), checked=False)
    assert (model / "model.json").read_bytes() == before


@pytest.mark.parametrize("kind", ["disc", "gaussian"])
def test_a_larger_radius_blurs_more(kind):
    rgb = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    spread = [blurred(rgb, radius, kind).std() for radius in (0, 2, 4)]
    assert spread == sorted(spread, reverse=True)
