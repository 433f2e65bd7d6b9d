"""Try whether the direction of a blur tells camera shake from defocus, without any network.

    python examples/camera_shake.py SHARP_PHOTOS DEFOCUSED_PHOTOS MASKS

Each sharp photo is blurred once by a simulated shake, straight or curved, and once by a disc. The regions that are
white in the masks of the other photos, NAME.png of NAME.jpg, are real defocus. Shake blurs along its path and hardly
across it, so the gradients at a fine scale, compared with those at a coarser one, differ by direction; defocus blurs
all directions alike. A classifier learns from these ratios. Prints how many of each kind it recognises among photos
that it has not seen.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from pipelines.command import extras
from r2mrf import images
from r2mrf.imaging.masks import read_mask
from r2mrf.rendering.lens import defocus

SCALES = (1, 2, 4, 8)  # pixels: standard deviations of the filters
COMPARED = ((0, 2), (1, 3), (0, 1), (1, 2), (2, 3))  # pairs of these scales
RADII = (1.5, 8.0)  # pixels
PHOTOS, MARGIN, FOLDS = 240, 25, 8  # MARGIN: pixels of a defocused region that are left out along its border


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, text in (
        ("sharp", "folder of sharp photos, which are blurred here"),
        ("photos", "folder of photos with regions out of focus, as NAME.jpg"),
        ("masks", "folder of their masks, as NAME.png, white where the photo is out of focus"),
    ):
        parser.add_argument(name, type=Path, help=text)
    options = parser.parse_args(arguments)
    extras.demand("examples/camera_shake.py", "sklearn")
    recognise(options)


def recognise(options: argparse.Namespace) -> None:
    """Print how many of each kind a classifier recognises among photos that it has not seen."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    found = [*blurred(_some(options.sharp, rng), rng), *defocused(_some(options.masks, rng), options.photos)]
    kinds, photos, features = (np.array(column) for column in zip(*found, strict=True))
    shaken = np.char.startswith(kinds, "shake")
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000))
    said = cross_val_predict(model, features, shaken, groups=photos, cv=GroupKFold(min(FOLDS, len(set(photos)))))
    for kind in sorted(set(kinds)):
        chosen = kinds == kind
        print(f"{kind}: {(said == shaken)[chosen].mean():.1%} of {chosen.sum()} recognised")
    print(f"shake and no shake, mean: {((said[shaken]).mean() + (~said[~shaken]).mean()) / 2:.1%}")


def blurred(paths: list[Path], rng: np.random.Generator) -> Iterator[tuple[str, str, list[float]]]:
    """Blur each photo by a shake and by a disc; yield kind, name of the photo, and features."""
    for path in paths:
        photo, radius = images.load(path), np.exp(rng.uniform(*np.log(RADII)))
        bend = rng.choice([0.0, rng.uniform(0.1, 0.25)])
        shaken = cv2.filter2D(linear(photo), -1, shake(radius * rng.uniform(2, 4), bend, rng))
        yield f"shake, {'curved' if bend else 'straight'}", path.stem, direction(developed(shaken, rng))
        yield "disc", path.stem, direction(developed(defocus(linear(photo), radius), rng))


def defocused(masks: list[Path], photos: Path) -> Iterator[tuple[str, str, list[float]]]:
    """Yield the kind, the name and the features of each photo's region out of focus, if it is large enough."""
    for path in masks:
        mask = read_mask(path.read_bytes()).pixels > 127
        region = cv2.erode(mask.astype(np.uint8), np.ones((MARGIN, MARGIN)))
        if region.mean() > 0.1:
            yield "real defocus", path.stem, direction(images.load(photos / f"{path.stem}.jpg"), region)


def shake(length: float, bend: float, rng: np.random.Generator) -> np.ndarray:
    """Return the kernel of a path of this length in pixels; `bend`: height of its arc, as a share of the length."""
    side, along = 2 * int(length / 2 + 3) + 1, np.linspace(-0.5, 0.5, 64 * int(length + 1))
    turn = rng.uniform(0, np.pi)
    path = length * (along + 1j * bend * (4 * along**2 - 0.5)) * np.exp(1j * turn)
    kernel = np.zeros((side, side), np.float32)
    np.add.at(kernel, tuple(np.rint(part + side // 2).astype(int) for part in (path.imag, path.real)), 1)
    return cv2.GaussianBlur(kernel / kernel.sum(), (0, 0), 0.5)


def developed(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return linear light as a camera's JPEG: with noise, uint8 H×W×3."""
    photo = 255 * light.clip(0, 1) ** (1 / 2.2) + rng.normal(0, rng.uniform(0.5, 4), light.shape)
    return images.decode(images.encode_jpeg(photo.clip(0, 255).astype(np.uint8), int(rng.integers(75, 96))))


def direction(photo: np.ndarray, region: np.ndarray | None = None) -> list[float]:
    """Return how much the gradients of a photo, uint8 H×W×3, differ by direction: over pairs of scales, and at each."""
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32)
    weights = np.ones_like(grey) if region is None else region.astype(np.float32)
    tensors = [_tensor(cv2.GaussianBlur(grey, (0, 0), scale), weights) for scale in SCALES]
    ratios = [_spread(np.linalg.solve(tensors[coarse], tensors[fine])) for fine, coarse in COMPARED]
    return [*ratios, *map(_spread, tensors)]


def _tensor(grey: np.ndarray, weights: np.ndarray) -> np.ndarray:
    x, y = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    sums = [[(weights * a * b).sum() / weights.sum() for b in (x, y)] for a in (x, y)]
    return np.array(sums) + 1e-3 * np.eye(2)


def _spread(tensor: np.ndarray) -> float:
    small, large = sorted(np.linalg.eigvals(tensor).real)
    return float(np.log(large / small))


def linear(photo: np.ndarray) -> np.ndarray:
    """Return the light of a photo, uint8 H×W×3: float32 H×W×3 in [0, 1]."""
    return ((photo / 255.0) ** 2.2).astype(np.float32)


def _some(folder: Path, rng: np.random.Generator) -> list[Path]:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".png"))
    return [paths[i] for i in rng.permutation(len(paths))[:PHOTOS]]


if __name__ == "__main__":
    main()
