"""The photos of a library: folders, file lists and single files -> sorted paths; and the table's schema."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa

from r2mrf import images
from r2mrf.errors import UserError

SCORES = pa.schema(
    [
        ("path", pa.string()),
        ("status", pa.string()),  # ok | failed
        ("error", pa.string()),  # REASON: sentence; see r2mrf.images.REASONS
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("content_sha256", pa.string()),
        ("blur_fraction", pa.float64()),
        ("focus_area", pa.float64()),
        ("focus_x0", pa.int32()),
        ("focus_y0", pa.int32()),
        ("focus_x1", pa.int32()),
        ("focus_y1", pa.int32()),
        ("center_blur", pa.float64()),
        ("confidence", pa.float64()),
        ("verdict", pa.string()),  # sharp | partial | blurred | flat
        ("contrast", pa.float64()),  # with blur_fraction, all that the verdict needs
        ("map", pa.string()),  # file below maps/, if maps were asked for
        ("model", pa.string()),
        ("model_sha256", pa.string()),
    ]
)


def photos(sources: list[str]) -> list[str]:
    """Absolute paths of all photos, sorted, each once.

    Raises:
        UserError: a source does not exist or holds no photo.
    """
    found: set[str] = set()
    for source in sources:
        paths = list(_photos(source))
        if not paths:
            raise UserError(f"{source}: no photo in it (looked for {', '.join(sorted(images.SUFFIXES))})")
        found.update(os.path.abspath(path) for path in paths)  # noqa: PTH100  (links stay as they are named)
    return sorted(found)


def _photos(source: str) -> list[Path]:
    path = Path(source)
    if path.is_dir():
        walk = (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
        return [p for p in walk if p.suffix.lower() in images.SUFFIXES]  # a list may name anything
    if not path.exists():
        raise UserError(f"{source}: no such folder or file; give a folder of photos, a photo or a list of paths (.txt)")
    if path.suffix.lower() == ".txt":
        try:
            lines = images.read_bytes(path).removeprefix(b"\xef\xbb\xbf").splitlines()
        except images.ImageError as error:
            raise UserError(f"{source}: no usable list of paths: {error.detail}") from None
        return [path.parent / os.fsdecode(line) for line in lines if line.strip()]
    return [path]


def samples() -> list[Path]:
    """Real photographs that come with scikit-image, scikit-learn and matplotlib."""
    import matplotlib
    import skimage
    import sklearn.datasets

    skimage_data = Path(skimage.__file__).parent / "data"
    return [
        *(skimage_data / name for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")),
        *(Path(sklearn.datasets.__file__).parent / "images" / name for name in ("china.jpg", "flower.jpg")),
        Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg",
    ]
