"""Draw the pictures of README.md and docs/method.md (`make pictures`), from photos of scikit-image and scikit-learn."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from docs import network
from examples import recurrent_steps
from pipelines.project.plots import gallery
from pipelines.project.samples import samples
from r2mrf import Predictor, images
from r2mrf.imaging.maps import overlay, to_uint8

DOCS = Path(__file__).parent
TITLES = ["photo", "map: white is out of focus", "laid over the photo"]


def maps(path: Path) -> None:
    """Draw two photos, their maps, and the maps laid over them, cut to 3:2."""
    predictor = Predictor.load("lite")
    photos = {photo.stem: images.load(photo) for photo in samples()}
    rows = []
    for name in ("flower", "astronaut"):
        photo = photos[name]
        defocus = predictor(photo)
        height = photo.shape[1] * 2 // 3
        rows.append(("", [view[:height] for view in (photo, to_uint8(defocus), overlay(photo, defocus))]))
    gallery(rows, TITLES, path, inches=3.6)


def steps(folder: Path) -> None:
    """Draw the pictures of examples/recurrent_steps.py for its own photo."""
    with tempfile.TemporaryDirectory() as drawn:
        recurrent_steps.main(["--out", drawn])
        for name in ("steps", "branches", "thresholds"):
            shutil.move(Path(drawn) / f"{name}.png", folder / f"{name}.png")


if __name__ == "__main__":
    maps(DOCS / "maps.png")
    steps(DOCS)
    network.draw(recurrent_steps.portrait(), DOCS / "network.png")
