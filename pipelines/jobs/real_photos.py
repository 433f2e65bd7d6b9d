"""Job real_photos: measures a model on real photographs: with drawn masks, in pairs of shots, all sharp or blurred.

    python -m pipelines.jobs.real_photos --photos PHOTOS [--model lite] [--params FILE] [--json FILE]

PHOTOS holds the photographs (docs/training.md says which, and where to get them). The job prints the names of the
model, the commit and the machine, and:

    human     figures on photos with masks drawn by people: real/SET/image and gt, white = defocused
    lytro     figures on scenes shot twice with different focus: real/lytro; pixels with unsure masks are left out
              (lytro_full_view: with the photos seen at 1:1)
    sharp     blur_fraction of sharp photos never trained on (the test side of the split of --params)
    ladder    the same, with these photos blurred all over by discs of growing radius, in pixels of the network's input
              along the photo's short side
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipelines.data.sources import find_photos, sharp_sides
from pipelines.project.stage import as_program
from pipelines.registry.provenance import provenance
from r2mrf import config
from r2mrf.evaluation.metrics import Counts
from r2mrf.imaging import images
from r2mrf.imaging.maps import to_uint8
from r2mrf.prediction.predictor import Predictor
from r2mrf.rendering.camera import to_linear, to_srgb
from r2mrf.rendering.lens import defocus
from r2mrf.rendering.sharp_photos import Sharp
from r2mrf.system.machine import machine

CONFIDENT = 64  # of 255: lytro's masks are votes; pixels below this value do not count
RADII = (0, 1, 2, 3, 4, 6, 8, 12)


def main() -> None:
    """Run the job from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--model", default="lite")
    parser.add_argument("--params", default="released/rendered/params.yaml")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not (arguments.photos / "real").is_dir():
        parser.error(f"{arguments.photos}: it has no folder `real`; docs/training.md says where to get the photographs")
    with as_program():
        figures = measure(Predictor.load(arguments.model), arguments.photos, config.load(arguments.params))
        text = json.dumps(figures, indent=2)
        print(text)
        if arguments.json:
            arguments.json.write_text(text + "\n")


def measure(predictor: Predictor, photos: Path, params: config.Config) -> dict:
    """Return all figures, with the model's name, the commit and the machine.

    Raises:
        UserError: a photo or mask cannot be read.
    """
    figures: dict = {"model": predictor.checkpoint.name, "commit": provenance()["git_commit"], "machine": machine()}
    figures["human"] = human(predictor, photos / "real")
    figures["lytro"] = lytro(predictor, photos / "real/lytro")
    figures["lytro_full_view"] = lytro(predictor, photos / "real/lytro", view="full")
    held_out = sharp_sides(find_photos(photos)[0], params.data, params.seed)["test"]
    return figures | ladder(predictor, [source for source in held_out if source.segments])  # whole photos, not crops


def human(predictor: Predictor, root: Path) -> dict:
    """Return the figures on photos with masks that people drew."""
    counts = Counts()
    for mask, path in _pairs(sorted(root.glob("*/gt/*.png")), "image"):
        counts.add(to_uint8(predictor(images.load(path))), mask)
    return counts.summary()


def lytro(predictor: Predictor, root: Path, view: str = "whole") -> dict:
    """Return the figures over the pixels that are clearly sharper in one shot than in the other."""
    counts = Counts()
    for focused, path in _pairs(sorted((root / "masks").glob("*.png")), "images"):
        sure = images.load_mask(root / "confidence" / f"{path.stem}.png") >= CONFIDENT
        counts.add(to_uint8(predictor(images.load(path), view=view))[sure][None], (255 - focused)[sure][None])
    return counts.summary()


def ladder(predictor: Predictor, sources: list[Sharp]) -> dict:
    """Return the median blur_fraction of sharp photos, unblurred and blurred all over."""
    steps: dict[int, list[float]] = {radius: [] for radius in RADII}
    for source in sources:
        rgb = images.load(source.image)
        light = to_linear(rgb)
        for radius in RADII:
            scaled = radius * min(rgb.shape[:2]) / predictor.preprocess.size
            photo = np.rint(to_srgb(defocus(light, scaled)) * 255).astype(np.uint8) if radius else rgb
            steps[radius].append(float((predictor(photo) >= 0.5).mean()))
    medians = {f"{radius} px": float(np.median(shares)) for radius, shares in steps.items()}
    growing = np.mean(np.diff(list(steps.values()), axis=0) >= -0.02)  # share of steps that do not go down
    return {"photos": len(sources), "sharp": medians.pop("0 px"), "ladder": medians, "steps_that_grow": float(growing)}


def _pairs(masks: list[Path], folder: str) -> Iterator[tuple[np.ndarray, Path]]:
    """Yield each mask, and the photo with the same stem in the folder beside it."""
    for path in masks:
        (photo,) = path.parent.with_name(folder).glob(f"{path.stem}.*")
        yield images.load_mask(path), photo


if __name__ == "__main__":
    main()
