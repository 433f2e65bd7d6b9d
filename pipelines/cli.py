"""The console command `r2mrf`. What a command needs is imported when it runs: `r2mrf --help` is instant."""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
import warnings
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.parser import parser

if TYPE_CHECKING:
    from pipelines.scored import Scored
    from r2mrf.analysis import Analyser

DONE, SOME_FAILED, COULD_NOT_RUN = 0, 1, 2
SHOWN = 100  # failures listed one by one


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns its exit status."""
    options = parser().parse_args(arguments)
    from r2mrf.errors import UserError

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # names that are not UTF-8 are printed as they are
    warnings.filterwarnings("ignore", "Image size")  # Pillow's, from half of our own limit on
    try:
        status = COMMANDS[options.command](options)
        sys.stdout.flush()
        return status
    except UserError as error:
        print(f"r2mrf: {error}", file=sys.stderr)
        return COULD_NOT_RUN
    except KeyboardInterrupt:
        goes_on = "; the same command goes on from here" if options.command == "score" else ""
        print(f"r2mrf: stopped{goes_on}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # who read what is printed has left: `r2mrf map … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if isinstance(error, OSError) and error.filename:  # a file or folder that cannot be made, opened or listed
            print(f"r2mrf: {error.filename}: {error.strerror}; mend that, or give another place", file=sys.stderr)
            return COULD_NOT_RUN
        traceback.print_exc()  # a bug of ours; not status 1, which means that some inputs failed
        print("r2mrf: this should not happen; please report it with the lines above", file=sys.stderr)
        return COULD_NOT_RUN


def map_photos(options: argparse.Namespace) -> int:
    """`r2mrf map`: an 8-bit PNG a photo, at its displayed size."""
    from r2mrf import images, released
    from r2mrf.files import whole
    from r2mrf.overlay import overlay
    from r2mrf.preprocess import to_uint8

    targets = _targets(options.photos, options.out)
    overlays = [target.parent / "overlays" / f"{target.stem}.jpg" for target in targets if options.overlay]
    _spare_inputs(options.photos, targets + overlays)
    analyser = released.load(options.model) or _predictor(options.model)
    failures = []
    for i, (photo, target) in enumerate(zip(options.photos, targets, strict=True)):
        try:
            rgb = images.decode(images.read_bytes(photo))
        except images.ImageError as error:
            failures.append(f"{photo}: {error}" + ("; `r2mrf score` takes folders" if photo.is_dir() else ""))
            continue
        defocus = analyser(rgb)
        with whole(target) as file:
            file.write_bytes(images.encode_png(to_uint8(defocus)))
        if options.overlay:
            with whole(overlays[i]) as file:
                file.write_bytes(images.encode_jpeg(overlay(rgb, defocus)))
        print(target)
    return _list_failures(failures, len(failures))


def _predictor(model: str) -> Analyser:
    from r2mrf.predictor import Predictor  # which imports torch

    return Predictor.load(model)


def score(options: argparse.Namespace) -> int:
    """`r2mrf score`: a table of a library."""
    from pipelines import score as scores
    from r2mrf.config import Score

    names = ("maps", "engine", "precision", "by_content", "retry")
    chosen = Score(**{name: getattr(options, name) for name in names})
    if options.dry_run:
        from pipelines.estimate import estimate

        print(estimate(options.sources, options.out, options.model, chosen))
        return DONE
    summary = scores.score_library(options.sources, options.out, options.model, chosen)
    rate = f", {summary['images_per_second']:.3g} photos/s" if summary["images_per_second"] else ""
    print(f"{options.out}: {summary['ok']} of {summary['total']} photos scored, {summary['failed']} failed{rate}")
    print(f"table: {options.out / 'scores'}/shard-*-{summary['fingerprint']}.parquet")
    if options.report:
        from pipelines.scored import read

        _write_page(read(options.out), options.out / "report.html")
    return _list_failures(scores.failures(options.out, summary["fingerprint"]), summary["failed"])


def report(options: argparse.Namespace) -> int:
    """`r2mrf report`: verdicts by any limits, a page, a CSV file, sidecars."""
    from pipelines import exports
    from pipelines.report import check_output
    from pipelines.scored import read

    scored = read(options.folder, options.sharp_below, options.blurred_above)
    page = options.out or options.folder / "report.html"
    for target in (page, options.csv):
        if target:
            check_output(scored, target)
    _write_page(scored, page, options.fetch)
    if options.csv:
        exports.write_csv(scored.rows, options.csv)
        print(f"table: {options.csv}")
    failures = exports.write_sidecars(scored.rows, options.xmp) if options.xmp else []
    return _list_failures(failures, len(failures))


def export_model(options: argparse.Namespace) -> int:
    """`r2mrf export`: the model for other programs."""
    from r2mrf import checkpoint
    from r2mrf.export import export

    facts = export(checkpoint.load(checkpoint.locate(options.model)), options.format, options.out)
    parity = facts["parity"]
    print(f"{options.out}: {', '.join(facts['files'])}, model.json; {facts['name']}")
    print(f"differs from torch by {parity['largest_difference']:.1g} at most (allowed: {parity['tolerance']:g})")
    return DONE


def evaluate(options: argparse.Namespace) -> int:
    """`r2mrf evaluate`: anyone's saved maps against masks."""
    from pipelines.saved_maps import compare
    from pipelines.stage import write_json

    counts, failures = compare(options.maps, options.masks, options.mask_white, options.map_white)
    summary = counts.summary()
    write_json(options.json, summary)
    for name, value in summary.items():
        print(f"{name:24} {value:.4f}" if isinstance(value, float) else f"{name:24} {value}")
    return _list_failures(failures, len(failures))


def _write_page(scored: Scored, page: Path, fetched: list[str] | None = None) -> None:
    from collections import Counter

    from pipelines.addresses import Addresses
    from pipelines.report import add_pictures, write_page

    addresses = Addresses(fetched or [])
    for source in fetched or []:
        addresses.facts(source)  # out of reach: better told now than by missing pictures
    add_pictures(scored, addresses)
    write_page(scored, page)
    verdicts = Counter(row["verdict"] or "failed" for row in scored.rows)
    print(f"{scored.folder}: " + ", ".join(f"{number} {verdict}" for verdict, number in verdicts.most_common()))
    if gone := sum(row["status"] == "ok" and not row["thumbnail"] for row in scored.rows):
        print(f"without a picture, since moved or changed, or at an address (r2mrf report --fetch): {gone}")
    print(f"page: {page}")


def _targets(photos: list[Path], output: Path) -> list[Path]:
    """Where each photo's map goes: the file given for a single photo, else STEM.png in a folder."""
    from r2mrf.errors import UserError
    from r2mrf.images import SUFFIXES

    if output.suffix.lower() in SUFFIXES and not output.is_dir():
        if output.suffix.lower() != ".png":
            raise UserError(f"{output}: maps are written as PNG: give a .png file, or a folder, to -o")
        if len(photos) > 1:
            raise UserError(f"{output} is one file, but {len(photos)} photos are given: give a folder to -o")
        return [output]
    targets, taken = [], set()
    for photo in photos:
        stem, number = photo.stem, 2
        while stem.lower() in taken:  # a/x.jpg and b/x.jpg: the second becomes x-2.png
            stem, number = f"{photo.stem}-{number}", number + 1
        taken.add(stem.lower())
        targets.append(output / f"{stem}.png")
    return targets


def _spare_inputs(photos: list[Path], targets: list[Path]) -> None:
    from r2mrf.errors import UserError

    inputs = {os.path.realpath(photo) for photo in photos}
    for target in targets:
        if os.path.realpath(target) in inputs:
            raise UserError(f"{target} is one of the photos and would be overwritten: give another -o")


def _list_failures(failures: Iterable[str], number: int) -> int:
    for failure in islice(failures, SHOWN):
        print(f"failed: {failure}", file=sys.stderr)
    if number > SHOWN:
        print(f"failed: and {number - SHOWN} more", file=sys.stderr)
    return SOME_FAILED if number else DONE


COMMANDS = {"map": map_photos, "score": score, "report": report, "evaluate": evaluate, "export": export_model}

if __name__ == "__main__":
    sys.exit(main())
