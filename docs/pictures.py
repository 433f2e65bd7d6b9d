"""Draw the pictures of README.md and docs: `make pictures`; `python docs/pictures.py view` draws one of them.

Photos come with scikit-image and scikit-learn, and those of high resolution from ../shared/data/highres.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from docs import network
from examples import recurrent_steps
from pipelines.evaluation.evaluation_files import from_best_to_worst
from pipelines.project.plots import gallery, views
from pipelines.project.samples import samples
from r2mrf import Predictor, images
from r2mrf.imaging.maps import overlay, to_uint8
from r2mrf.imaging.resize import resize
from r2mrf.rendering.scenes import render_scene

DOCS = Path(__file__).parent
HIGHRES = Path("../shared/data/highres")  # those used are CC0, of BuddiesOfBudgie/budgie-backgrounds
OSPREY, FLOWER = HIGHRES / "perched-osprey.jpg", HIGHRES / "blue-periwinkle.jpg"
CC0 = ("perched-osprey", "canyon-wren", "blue-periwinkle", "roman-colosseum")
CUHK_ONLY = Path("released/cuhk_only/models/r2mrf")
TITLES = ["photo", "map: white is out of focus", "laid over the photo"]


def view(path: Path) -> None:
    """Draw a photo of eight megapixels, its maps at the whole and at the full view, and its blur radius."""
    if not OSPREY.is_file():
        print(f"{path} stays as it is: there is no {OSPREY}")
        return
    predictor, rgb = Predictor.load("lite", engine="auto"), images.load(OSPREY)
    height, width = rgb.shape[0] // 5, rgb.shape[1] // 5
    whole, full = (resize(predictor(rgb, name), height, width) for name in ("whole", "full"))
    radius = predictor.blur_radius(rgb)[::5, ::5][:height, :width]  # not averaged: parts may be unknown
    views(resize(rgb, height, width), whole, full, radius, path)


def soft(path: Path) -> None:
    """Draw a photo that looks sharp when it is small, and a part of it at 1:1."""
    if not FLOWER.is_file():
        print(f"{path} stays as it is: there is no {FLOWER}")
        return
    rgb = images.load(FLOWER)
    small, part = resize(rgb, 280, 420), rgb[1180:1460, 1860:2280]
    gallery([("", [small, part])], ["a photo of ten megapixels", "its sharpest place at 1:1"], path, inches=3.6)


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


def trained_on(path: Path) -> None:
    """Draw CC0 photos with the maps of a network that was trained on CUHK alone, and of the released weights."""
    if not (CUHK_ONLY.is_dir() and OSPREY.is_file()):
        print(f"{path} stays as it is: there is no {CUHK_ONLY} (`make cuhk`), or no {OSPREY}")
        return
    predictors = [Predictor.load(model, engine="openvino") for model in (CUHK_ONLY, "lite")]
    rows = []
    for name in CC0:
        photo = images.load(HIGHRES / f"{name}.jpg")
        maps = [predictor(photo) for predictor in predictors]
        height = 400 * photo.shape[0] // photo.shape[1]
        rows.append(("", [resize(picture, height, 400) for picture in (photo, *map(to_uint8, maps))]))
    gallery(rows, ["photo", "trained on 540 of CUHK's 604", "released weights"], path, inches=3.6)


def steps(folder: Path) -> None:
    """Draw the pictures of examples/recurrent_steps.py for its own photo."""
    with tempfile.TemporaryDirectory() as drawn:
        recurrent_steps.main(["--out", drawn])
        for name in ("steps", "branches", "thresholds"):
            shutil.move(Path(drawn) / f"{name}.png", folder / f"{name}.png")


def scenes(path: Path) -> None:
    """Draw 8 of 24 rendered scenes with their masks and maps, evenly spaced from the best to the worst by MAE."""
    predictor = Predictor.load("lite")
    rendered = [render_scene(number) for number in range(24)]  # training renders scenes of far larger numbers
    maps = [predictor(scene.image) for scene in rendered]
    errors = [float(np.abs(found - scene.mask / 255).mean()) for found, scene in zip(maps, rendered, strict=True)]
    rows = [
        (f"MAE {errors[i]:.2f}", [rendered[i].image, rendered[i].mask, to_uint8(maps[i])])
        for i in from_best_to_worst([-error for error in errors], 8)
    ]
    gallery(rows, ["photo", "mask (white = defocused)", "map"], path)


PICTURES = {
    "view": lambda: view(DOCS / "view.png"),
    "soft": lambda: soft(DOCS / "soft.png"),
    "trained_on": lambda: trained_on(DOCS / "results/trained_on.png"),
    "maps": lambda: maps(DOCS / "maps.png"),
    "scenes": lambda: scenes(DOCS / "lite.png"),
    "steps": lambda: steps(DOCS),
    "network": lambda: network.draw(recurrent_steps.portrait(), DOCS / "network.png"),
}

if __name__ == "__main__":
    for name in sys.argv[1:] or PICTURES:
        PICTURES[name]()
