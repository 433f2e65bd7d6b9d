"""`r2mrf map`: writes a map of each photo at its displayed size, or its blur radius."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.command.failures import list_failures
from pipelines.command.overwriting import refuse_overwriting
from pipelines.command.terminal import say

if TYPE_CHECKING:
    from r2mrf.prediction.analyser import Analyser


LONGEST = 255  # bytes of a file's name


def map_photos(options: argparse.Namespace) -> int:
    """Run `r2mrf map`: write one PNG per photo, at its displayed size, with its map or its blur radius."""
    from r2mrf.errors import UserError
    from r2mrf.imaging import images
    from r2mrf.imaging.maps import overlay, to_uint8
    from r2mrf.prediction import views
    from r2mrf.prediction.radius import to_hundredths
    from r2mrf.system.atomic import atomic_file

    view = views.parse(options.view)
    if options.radius and (options.overlay or view != "whole"):
        raise UserError("--radius uses every view and has no overlay: omit --view and --overlay")
    targets = _targets(options.photos, options.out)
    overlays = [target.parent / "overlays" / f"{target.stem}.jpg" for target in targets if options.overlay]
    refuse_overwriting(options.photos, targets + overlays)
    analyser = load_analyser(options.model)
    failures = []
    for i, (photo, target) in enumerate(zip(options.photos, targets, strict=True)):
        if len(os.fsencode(target.name)) > LONGEST:
            failures.append(
                f"{photo}: the name of its map would be longer than {LONGEST} bytes: give -o FILE.png for it"
            )
            continue
        try:
            rgb = images.decode(images.read_bytes(photo))
            if options.radius:
                pixels = to_hundredths(analyser.blur_radius(rgb))
            else:
                defocus = analyser(rgb, view)
                pixels = to_uint8(defocus)
            encoded = {target: images.encode_png(pixels)}
            if options.overlay:
                encoded[overlays[i]] = images.encode_jpeg(overlay(rgb, defocus))
        except images.ImageError as error:
            failures.append(f"{photo}: {error}" + (_for_folders(photo) if photo.is_dir() else ""))
            continue
        for path, content in encoded.items():
            with atomic_file(path) as file:
                file.write_bytes(content)
        say(target)
    return list_failures(failures, len(failures))


def load_analyser(model: str) -> Analyser:
    """Load a model, without torch where that is possible: importing it takes seconds."""
    from r2mrf.prediction import without_torch

    if analyser := without_torch.load(model):
        return analyser
    from r2mrf import Predictor  # imports torch

    return Predictor.load(model)


def _for_folders(folder: Path) -> str:
    name = shlex.quote(str(folder))
    return f"; for its photos, `r2mrf map {name}/*.jpg -o maps`; for a table, `r2mrf score {name} --out scores`"


def _targets(photos: list[Path], output: Path) -> list[Path]:
    """Return the output path for each photo: the given file for a single photo, or STEM.png in a folder."""
    from r2mrf.errors import UserError
    from r2mrf.imaging.images import SUFFIXES

    if output.suffix.lower() in SUFFIXES and not output.is_dir():
        if output.suffix.lower() != ".png":
            raise UserError(f"{output}: maps are written as PNG: give -o a .png file or a folder")
        if len(photos) > 1:
            raise UserError(f"{output} is a single file, but there are {len(photos)} photos: give -o a folder")
        return [output]
    targets, taken = [], set()
    for photo in photos:
        stem, number = photo.stem, 2
        while stem.lower() in taken:  # a/x.jpg and b/x.jpg: the second becomes x-2.png
            stem, number = f"{photo.stem}-{number}", number + 1
        taken.add(stem.lower())
        targets.append(output / f"{stem}.png")
    return targets
