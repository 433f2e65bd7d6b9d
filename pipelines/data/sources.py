"""Sources of pairs for `prepare`: rendered scenes, defocus rendered into sharp photographs, and published data sets."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from r2mrf.config import Config, Data
from r2mrf.data.pairs import Pair, check_facts, examine, read_pair
from r2mrf.data.published_sets import check_counts, match_pairs
from r2mrf.errors import DataError
from r2mrf.imaging import images
from r2mrf.imaging.maps import DOUBT
from r2mrf.rendering.composite import render_composite
from r2mrf.rendering.photograph import RenderedPhoto
from r2mrf.rendering.scenes import render_scene
from r2mrf.rendering.sharp_photos import Sharp, find_sharp, is_sharp, split_groups
from r2mrf.system.fingerprint import fingerprint, of_code
from r2mrf.system.machine import cores

# A test scene's seed is this much above the training seeds, so that no scene is on both sides of the split.
TEST_SEEDS = 500_000

LEFT_OUT = Path(__file__).with_name("left_out.txt")
IMAGES, MASKS = "image", "mask"  # folders that `python -m pipelines.jobs.label` writes


@dataclass(frozen=True)
class Source:
    """The pairs that a source offers.

    `items`: one per pair, JSON-able, with at least its `split`; `row`: makes a row of `shards.PAIRS` from an item, on
    any machine; `rules`: whatever a row depends on besides its item, JSON-able.
    """

    items: list[dict]
    row: Callable[[dict], dict]
    rules: list


def open_source(config: Config) -> Source:
    """Return the source that `data.source` names, after checking it.

    Raises:
        DataError: it is missing or cannot be used; the message names every problem.
    """
    makers = {"synthetic": _synthetic, "composite": _composite}
    return makers.get(config.data.source, _published)(config.data, config.seed)


def _synthetic(data: Data, seed: int) -> Source:
    items = [{"split": split, "seed": number} for split, number in _seeds(data, seed)]
    return Source(
        items,
        lambda item: _scene(item, data.size),
        ["synthetic", data.size, of_code("rendering.scenes", "data.shards")],
    )


def _composite(data: Data, seed: int) -> Source:
    found, shapes = find_photos(Path(data.root))
    sides = sharp_sides(found, data, seed)

    def row(item: dict) -> dict:
        if "labelled" in item:
            return _labelled(data.labelled, item["labelled"])
        if "index" not in item:
            return _scene(item, data.size)
        source = sides[item["split"]][item["index"]]
        photo = render_composite(source, shapes, item["seed"], data.size)
        return _rendered(f"{source.id}-{item['seed']}", item["split"], photo)

    items = [
        {"split": split, "seed": number} | ({} if i % 100 < 100 * data.scenes else {"index": i % len(sides[split])})
        for i, (split, number) in enumerate(_seeds(data, seed))
    ]
    sources = [source for side in sides.values() for source in side]
    files = [file for source in sources for file in (source.image, source.objects, source.segments) if file] + shapes
    items += _labelled_items(data.labelled)  # last, so that photos rendered before stay in the same shards
    contents = fingerprint([_sha256(file) for file in files])
    return Source(
        items,
        row,
        ["composite", data.size, contents, of_code("rendering.composite", "rendering.scenes", "data.shards")],
    )


def find_photos(root: Path) -> tuple[list[Sharp], list[Path]]:
    """Return the photos to render defocus into or to label (without those in `left_out.txt`), and the shape masks.

    Raises:
        DataError: there are no photos.
    """
    found, shapes = find_sharp(root)
    names = left_out()
    return [photo for photo in found if photo.image.stem not in names], shapes


def left_out() -> set[str]:
    """Return the stems of photos that show a photo of a set on which models are measured."""
    lines = LEFT_OUT.read_text(encoding="utf-8").splitlines()
    return {name for line in lines if (name := line.partition("#")[0].strip())}


def sharp_sides(found: list[Sharp], data: Data, seed: int) -> dict[str, list[Sharp]]:
    """Divide the photos that are sharp enough to render defocus into between `train` and `test`."""
    kept = _sharp_ones(found)
    print(f"{data.root}: {len(kept)} of {len(found)} photos are sharp enough to render defocus into", file=sys.stderr)
    return dict(zip(("train", "test"), split_groups(kept, data.test / (data.train + data.test), seed), strict=True))


def _sharp_ones(found: list[Sharp]) -> list[Sharp]:
    """Keep the photos that defocus may be rendered into; raise one error that names all unreadable photos."""
    problems: list[str] = []

    def good(source: Sharp) -> bool:
        try:
            return is_sharp(images.load(source.image))
        except images.ImageError as error:
            problems.append(f"{source.image}: not a usable photo: {error.detail}. Replace it, or remove it.")
            return False

    with ThreadPoolExecutor(cores()) as pool:
        kept = [source for source, keep in zip(found, pool.map(good, found), strict=True) if keep]
    if problems:
        raise DataError(*sorted(problems))
    return kept


def _published(data: Data, seed: int) -> Source:
    pairs = {pair.id: pair for pair in _checked(data)}

    def row(item: dict) -> dict:
        pair = pairs[item["id"]]
        image, mask = read_pair(pair)
        return _row(pair.id, pair.split, "photo", image, mask, images.decode_mask(mask), None)

    items = [
        {"split": p.split, "id": p.id, "white": p.white, "image": _sha256(p.image), "mask": _sha256(p.mask)}
        for p in pairs.values()
    ]
    return Source(items, row, ["published", of_code("data.pairs", "data.shards")])


def _checked(data: Data) -> list[Pair]:
    """Return the set's pairs, after reading and judging all of them before anything is built."""
    pairs, problems = match_pairs(data)
    with ThreadPoolExecutor(cores()) as pool:
        facts = [facts for _, _, facts in pool.map(examine, pairs)]
    errors, warnings = check_facts(facts)
    for warning in warnings + check_counts(pairs, data.source):
        print(f"warning: {warning}", file=sys.stderr)
    if problems + errors:
        raise DataError(*problems, *errors)
    return pairs


def _seeds(data: Data, seed: int) -> list[tuple[str, int]]:
    first = seed * 2 * TEST_SEEDS
    train = [("train", first + i) for i in range(data.train)]
    return train + [("test", first + TEST_SEEDS + i) for i in range(data.test)]


def _labelled_items(folder: str) -> list[dict]:
    """Return the pairs that `python -m pipelines.jobs.label` wrote; none if no folder is given."""
    if not folder:
        return []
    photos, masks = (sorted(path.stem for path in Path(folder, name).glob("*.*")) for name in (IMAGES, MASKS))
    if not photos or photos != masks:
        raise DataError(
            f"data.labelled {folder}: not a complete set of pairs: make it with `python -m pipelines.jobs.label`"
        )
    return [
        {"split": "train", "labelled": name} | {file.suffix: _sha256(file) for file in _labelled_files(folder, name)}
        for name in photos
    ]


def _labelled_files(folder: str, name: str) -> tuple[Path, Path]:
    return Path(folder, IMAGES, f"{name}.jpg"), Path(folder, MASKS, f"{name}.png")


def _labelled(folder: str, name: str) -> dict:
    image, mask = (file.read_bytes() for file in _labelled_files(folder, name))
    return _row(name, "train", "labelled", image, mask, images.decode_mask(mask), None)


def _scene(item: dict, size: int) -> dict:
    return _rendered(f"scene-{item['seed']}", item["split"], render_scene(item["seed"], size))


def _rendered(source_id: str, split: str, photo: RenderedPhoto) -> dict:
    blurred = photo.coc[photo.mask == 255]
    radius = float(np.median(blurred)) if blurred.size else None
    return _row(source_id, split, photo.kind, photo.jpeg, images.encode_png(photo.mask), photo.mask, radius)


def _row(
    source_id: str, split: str, kind: str, image: bytes, mask: bytes, labels: np.ndarray, radius: float | None
) -> dict:
    return {
        "source_id": source_id,
        "split": split,
        "kind": kind,
        "image": image,
        "mask": mask,
        "sha256": hashlib.sha256(image + mask).hexdigest(),
        "defocused": float((labels > 127).mean()),
        "doubt": float(((labels > 255 * DOUBT[0]) & (labels < 255 * DOUBT[1])).mean()),
        "blur_radius": radius,
    }


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
