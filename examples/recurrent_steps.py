"""Draw how the network refines the map of a photo, step by step and branch by branch, and what a threshold does.

    python examples/recurrent_steps.py photo.jpg --out steps

Without a photo it takes an astronaut's portrait that comes with scikit-image. Writes steps.png, branches.png and
thresholds.png; docs/method.md says what they show.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.command import extras
from r2mrf import Predictor, images
from r2mrf.errors import UserError
from r2mrf.imaging.maps import overlay, to_uint8
from r2mrf.imaging.preprocess import visible
from r2mrf.imaging.resize import resize

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 400  # longest side of a drawn photo, in pixels
THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9)


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    extras.demand("examples/recurrent_steps.py", "torch", "matplotlib", *([] if options.photo else ["skimage"]))
    draw(options)


def draw(options: argparse.Namespace) -> None:
    """Draw the three pictures and print how much the map changes at each step."""
    from pipelines.project.plots import gallery

    path = options.photo or portrait()
    try:
        photo, predictor = images.load(path), Predictor.load(options.model)
    except UserError as error:
        sys.exit(str(error))
    fused, branches = probabilities_of(predictor, photo)

    scale = min(SIDE / max(photo.shape[:2]), 1)
    height, width = (max(round(side * scale), 1) for side in photo.shape[:2])
    shown = resize(photo, height, width)

    def picture(defocus: Tensor) -> np.ndarray:
        square = resize(defocus.numpy(), *[predictor.preprocess.size] * 2)  # of which a small photo fills a part
        return to_uint8(resize(visible(square, *photo.shape[:2]), height, width).clip(0, 1))

    times = [f"t = {t}" for t in range(len(fused))]
    gallery([("fused map", [shown, *map(picture, fused)])], ["photo", *times], options.out / "steps.png", inches=1.8)
    gallery(
        [(f"branch O{i}", [picture(step[i - 1]) for step in branches]) for i in range(1, len(branches[0]) + 1)],
        times,
        options.out / "branches.png",
        inches=1.8,
    )

    defocus = predictor(photo)
    above = [(resize(defocus, height, width) >= threshold).astype(np.float32) for threshold in THRESHOLDS]
    gallery(
        [("out of focus", [shown, *(overlay(shown, mask) for mask in above)])],
        ["photo", *(f"p ≥ {t}: {mask.mean():.0%}" for t, mask in zip(THRESHOLDS, above, strict=True))],
        options.out / "thresholds.png",
        inches=2.2,
    )

    print(" t  out of focus  mean change")
    for t, step in enumerate(fused):
        change = f"{(step - fused[t - 1]).abs().mean():11.4f}" if t else ""
        print(f"{t:2d}  {(step >= 0.5).float().mean():12.1%}  {change}")
    print(f"pictures: {options.out}/steps.png, branches.png, thresholds.png")


def probabilities_of(predictor: Predictor, photo: np.ndarray) -> tuple[list[Tensor], list[Tensor]]:
    """Return the probabilities of defocus of uint8 H×W×3 after t = 0 … T steps: fused h×w, and branches 5×h×w."""
    import torch

    x = predictor.preprocess.normalise(predictor.preprocess.shrink(photo)[None])
    with torch.no_grad():
        sides = predictor.network(torch.from_numpy(x)).sides  # T + 1 tensors of logits, 1×5×h×w
        fused = [predictor.network.fuse(side).sigmoid()[0, 0] for side in sides]
        return fused, [side.sigmoid()[0] for side in sides]


def portrait() -> Path:
    """Return a photo that comes with scikit-image."""
    import skimage

    return Path(skimage.__file__).parent / "data" / "astronaut.png"


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", nargs="?", type=Path, help="photo (default: the portrait)")
    parser.add_argument("--out", type=Path, default=Path("steps"), metavar="DIR", help="folder (default: steps)")
    parser.add_argument("--model", default="lite", help="model folder, models:/NAME@ALIAS, or lite (default)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
