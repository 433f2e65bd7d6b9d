"""Real photographs that come with installed packages, for the demo and for tests."""

from __future__ import annotations

from pathlib import Path


def samples() -> list[Path]:
    """Return the paths of real photographs that come with scikit-image, scikit-learn and matplotlib."""
    import matplotlib
    import skimage
    import sklearn.datasets

    skimage_data = Path(skimage.__file__).parent / "data"
    return [
        *(skimage_data / name for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")),
        *(Path(sklearn.datasets.__file__).parent / "images" / name for name in ("china.jpg", "flower.jpg")),
        Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg",
    ]
