"""The published data sets: the folders of their photos and masks, what white means in the masks, and the split.

found, problems = match_pairs(config.data)
image, mask, facts = pairs.examine(found[0])     # reads both files; white = defocused in every set
errors, warnings = pairs.check_facts(all_facts)
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from r2mrf import config
from r2mrf.data import cuhk_split
from r2mrf.data.pairs import Pair
from r2mrf.errors import DataError
from r2mrf.imaging.images import SUFFIXES


@dataclass(frozen=True)
class Part:
    """A folder of photos and a folder of masks. Each has several possible names; the first that exists is used.

    Folder names are compared without regard to case, and "_" counts as "-".
    """

    split: str | None  # "train" | "test"; None: a list of file names says which photos are for testing
    images: tuple[str, ...]
    masks: tuple[str, ...]
    prefix: str = ""  # files whose names start differently are left out


@dataclass(frozen=True)
class Layout:
    """One way in which a set may be laid out on disk."""

    white: str | None  # "defocus" | "focus"; None: the parameter `data.white` decides
    parts: tuple[Part, ...]

    def __str__(self) -> str:
        return " and ".join(f"{part.images[0]}/ with {part.masks[0]}/" for part in self.parts)


@dataclass(frozen=True)
class PublishedSet:
    """A data set: its web page, its numbers of training and test pairs, and its layouts, the most common first."""

    page: str
    counts: tuple[int, int] | None
    layouts: tuple[Layout, ...]


_IMAGES = ("image", "images", "imgs", "img", "source")
_GT = ("gt", "gts", "mask", "masks")
_MASKS = ("mask", "masks", "gt", "gts")

# Folders and polarity follow the archives and the code published with D-DFFNet, BR2Net and DENets.
PUBLISHED_SETS = {
    "cuhk": PublishedSet(  # Shi, Xu and Jia, CVPR 2014: 1,000 photos, without the 296 with motion blur
        "http://www.cse.cuhk.edu.hk/leojia/projects/dblurdetect/",
        (604, 100),
        (
            Layout("defocus", (Part(None, _IMAGES, _GT, prefix="out_of_focus"),)),
            # Zhao's copy of the 100 test pairs: numbered 1 to 100, with inverted masks
            Layout("focus", (Part("test", ("xu100-source",), ("xu100-gt",)),)),
        ),
    ),
    "dut": PublishedSet(  # Zhao, Zhao, Wang and Lu, CVPR 2018 (BTBNet)
        "http://ice.dlut.edu.cn/ZhaoWenda/BTBCRLNet.html",
        (600, 500),
        (
            Layout("focus", (
                Part("train", ("DUT600S_Training",), ("DUT600GT_Training",)),
                Part(
                    "test",
                    ("DUT500S-Testing", "dut500-source", *_IMAGES),
                    ("DUT500GT-Testing", "dut500-gt", *_GT),
                ),
            )),
        ),
    ),
    "ctcug": PublishedSet(  # Tang et al., TPAMI 2020 (DeFusionNET)
        "https://github.com/ChangTang/BR2Net",
        (0, 150),
        (Layout("defocus", (Part("test", ("CTCUG_images", *_IMAGES), ("CTCUG_gt", *_GT)),)),),
    ),
    "ebd": PublishedSet(  # Jin et al., ICME 2023 (D-DFFNet): 300 of its photos are entirely in focus
        "https://github.com/yuxinjin-whu/D-DFFNet",
        (0, 1605),
        (Layout("focus", (Part("test", _IMAGES, _GT),)),),
    ),
    "pairs": PublishedSet(
        "",
        None,
        (
            Layout(None, tuple(
                Part(split, tuple(f"{split}/{n}" for n in _IMAGES), tuple(f"{split}/{n}" for n in _MASKS))
                for split in ("train", "test")
            )),
            Layout(None, (Part(None, _IMAGES, _MASKS),)),
        ),
    ),
}  # fmt: skip


def match_pairs(data: config.Data) -> tuple[list[Pair], list[str]]:
    """Match photos and masks by stem, ignoring case, suffix and Unicode form.

    Returns:
        Pairs sorted by id, and problems: photos or masks without a partner, and duplicate names.

    Raises:
        DataError: the set's folders were not found; the message says where they were looked for.
    """
    base, layout = _locate(data)
    pairs: list[Pair] = []
    problems: list[str] = []
    for part in layout.parts:
        photos, masks = _match(base, part, problems)
        tests = _tests(data.source, base, photos, problems) if part.split is None and photos else set()
        for key in photos.keys() & masks.keys():
            split = part.split or ("test" if key in tests else "train")
            name = f"{split}-{photos[key].stem}" if len(layout.parts) > 1 else photos[key].stem
            pairs.append(Pair(name, split, photos[key], masks[key], layout.white or data.white))
    if not pairs and not problems:
        problems.append(f"{base}: the folders of the set {data.source} contain no photos. Unpack the set there.")
    return sorted(pairs, key=lambda pair: pair.id), problems


def check_counts(pairs: Iterable[Pair], source: str) -> list[str]:
    """Return a warning if the number of pairs differs from that of the published set."""
    splits, counts = [pair.split for pair in pairs], PUBLISHED_SETS[source].counts
    found = (splits.count("train"), splits.count("test"))
    if counts in (None, found):
        return []
    return [
        f"{source}: {found[0]} pairs for training and {found[1]} for testing, but the published set has "
        f"{counts[0]} and {counts[1]}. Results on it cannot be compared with published ones."
    ]


def _locate(data: config.Data) -> tuple[Path, Layout]:
    """Return the set's folder (`data.root`, or the one folder in it that fits) and the layout that matches."""
    root, published = Path(data.root), PUBLISHED_SETS[data.source]
    inner = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    for bases in ([root], inner):
        fits = [(base, layout) for base in bases for layout in published.layouts if _fits(base, layout)]
        if len({base for base, _ in fits}) > 1:
            found = ", ".join(str(base) for base, _ in fits)
            raise DataError(f"{root}: {data.source} is here more than once: {found}. Set data.root to one.")
        if fits:
            return fits[0]
    wanted = "; or ".join(str(layout) for layout in published.layouts)
    origin = (
        f"It can be downloaded from {published.page}."
        if published.page
        else "In the second layout, test.txt lists the test photos."
    )
    raise DataError(
        f"{root}: the set {data.source} is neither here nor in a subfolder. Expected: {wanted}. Put it "
        f"here, or set data.root to its location. {origin}"
    )


def _fits(base: Path, layout: Layout) -> bool:
    return any(_folder(base, part.images) for part in layout.parts)


def _folder(base: Path, names: Iterable[str]) -> Path | None:
    """Return the first of the names ("a" or "a/b") that is a folder below the base."""
    below = {_like(path.relative_to(base)): path for path in sorted([*base.glob("*/"), *base.glob("*/*/")])}
    return next((below[_like(name)] for name in names if _like(name) in below), None)


def _like(name: str | Path) -> str:
    return Path(name).as_posix().casefold().replace("_", "-")


def _match(base: Path, part: Part, problems: list[str]) -> tuple[dict[str, Path], dict[str, Path]]:
    """Return a part's photos and masks by their common key. Files without a partner are added to `problems`."""
    images, masks = _folder(base, part.images), _folder(base, part.masks)
    if images is None or masks is None:
        if images or masks:
            lacking = part.images[0] if masks else part.masks[0]
            problems.append(f"{base / lacking}: no such folder, although {images or masks} exists. Add it.")
        return {}, {}
    photo_of, mask_of = _files(images, part.prefix, problems), _files(masks, part.prefix, problems)
    for key in sorted(photo_of.keys() - mask_of.keys()):
        problems.append(f"{photo_of[key]}: no mask with this name in {masks}. Add it, or remove the photo.")
    for key in sorted(mask_of.keys() - photo_of.keys()):
        problems.append(f"{mask_of[key]}: no photo with this name in {images}. Add it, or remove the mask.")
    return photo_of, mask_of


def _files(folder: Path, prefix: str, problems: list[str]) -> dict[str, Path]:
    """Return image files by `_key`. Of two files with the same key the first is kept, and `problems` names both."""
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        key = _key(path.stem)
        if path.suffix.lower() not in SUFFIXES or path.name.startswith(".") or not key.startswith(prefix):
            continue
        if key in files:
            problems.append(f"{path}: has the same name as {files[key].name} beside it. Keep one of them.")
        files.setdefault(key, path)
    return files


def _key(stem: str) -> str:
    return unicodedata.normalize("NFC", stem).casefold()  # some systems store file names decomposed (NFD)


def _tests(source: str, base: Path, photos: dict[str, Path], problems: list[str]) -> set[str]:
    """Return the keys of the test photos: CUHK's own list, or the lines of `test.txt`."""
    if source == "cuhk":
        return {f"out_of_focus{number:04d}" for number in cuhk_split.TEST}
    path = base / "test.txt"
    if not path.is_file():
        problems.append(f"{path}: missing. Create it and list the names of the test photos, one per line.")
        return set()
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    names = [Path(line.strip()) for line in lines if line.strip()]
    keys = {_key(name.stem if name.suffix.lower() in SUFFIXES else name.name): name for name in names}
    for key in sorted(keys.keys() - photos.keys()):
        problems.append(f"{path}: there is no photo {keys[key]}. Correct the line, or remove it.")
    return set(keys)
