"""Job leaks: finds training photographs that show a photograph of the published set on which models are measured.

    python -m pipelines.jobs.leaks --photos PHOTOS [--sheet FILE.png]

PHOTOS holds the set in cuhk/image and the others in sharp/SET/images and unlabelled. Photos that show one of the set,
or a cropped, mirrored or shrunk version of it, are added to pipelines/data/left_out.txt; rendering and labelling skip
them. Local features propose pairs and the pixels decide. The sheet shows the proposed pairs for people to check, best
first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from pipelines.cluster.progress import progress
from pipelines.data.near_copies import CORRELATION, Index, NearCopy
from pipelines.data.sources import LEFT_OUT, left_out
from pipelines.project import plots
from pipelines.project.stage import as_program
from r2mrf.imaging import images
from r2mrf.system.atomic import atomic_file

SHOWN, ACROSS = 48, 4  # pairs on the sheet
WIDTH = 240  # pixels of a photo on the sheet


def find(sought: dict[str, Path], among: list[Path]) -> list[tuple[Path, NearCopy]]:
    """Return what the features propose, the most likely copies first; from `CORRELATION` up they are copies."""
    index = Index(
        {name: images.load(path) for name, path in progress(list(sought.items()), unit=" photos", desc="set")}
    )
    found = []
    for path in progress(among, unit=" photos", desc="searched"):
        found += [(path, copy) for copy in index.candidates(images.load(path))]
    return sorted(found, key=lambda pair: -pair[1].correlation)


def write(found: list[tuple[Path, NearCopy]]) -> int:
    """Add the copies to the photos that are left out; return the number of photos that are copies."""
    copies = {path.stem: copy for path, copy in reversed(found) if copy.correlation >= CORRELATION}
    if new := copies.keys() - left_out():
        lines = "".join(f"{stem}  # {copies[stem].of}\n" for stem in sorted(new))
        with atomic_file(LEFT_OUT) as file:
            file.write_text(LEFT_OUT.read_text(encoding="utf-8") + lines, encoding="utf-8")
    return len(copies)


def main() -> None:
    """Run the job from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="draw the proposed pairs, to look at")
    given = parser.parse_args()
    sought = {path.stem: path for path in _photos(given.photos / "cuhk/image")}
    among = [path for folder in sorted(given.photos.glob("sharp/*/images")) for path in _photos(folder)]
    among += _photos(given.photos / "unlabelled")
    if not (sought and among):
        parser.error(f"{given.photos}: needs photos in cuhk/image, and others in sharp/SET/images or unlabelled")
    with as_program():
        found = find(sought, among)
    copies = write(found)
    best = f"; the largest correlation of any other is {max((c.correlation for _, c in found[copies:]), default=0):.2f}"
    print(f"{copies} of {len(among)} photos show one of the {len(sought)}, features propose {len(found)}{best}")
    if given.sheet:
        _draw(found[:SHOWN], sought, given.sheet)


def _photos(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in images.SUFFIXES)


def _draw(found: list[tuple[Path, NearCopy]], sought: dict[str, Path], sheet: Path) -> None:
    tiles: list[np.ndarray] = []
    for path, copy in found:
        photo = images.load(path)
        tiles += [photo[:, ::-1] if copy.mirrored else photo, images.load(sought[copy.of])]
    plots.sheet(tiles, 2 * ACROSS, sheet, WIDTH)


if __name__ == "__main__":
    main()
