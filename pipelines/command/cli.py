"""The console command `r2mrf`. What a command needs is imported when it runs: `r2mrf --help` is instant."""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.command.export_model import export_model
from pipelines.command.failures import COULD_NOT_RUN, DONE, list_failures
from pipelines.command.map_photos import map_photos
from pipelines.command.parser import parser

if TYPE_CHECKING:
    from pipelines.report.scored_folder import Scored


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


def score(options: argparse.Namespace) -> int:
    """`r2mrf score`: a table of a library."""
    from pipelines.scoring import run
    from r2mrf.config import Score

    names = ("maps", "engine", "precision", "by_content", "retry")
    chosen = Score(**{name: getattr(options, name) for name in names})
    if options.dry_run:
        from pipelines.scoring.estimate import estimate

        print(estimate(options.sources, options.out, options.model, chosen))
        return DONE
    summary = run.score_library(options.sources, options.out, options.model, chosen)
    rate = f", {summary['images_per_second']:.3g} photos/s" if summary["images_per_second"] else ""
    print(f"{options.out}: {summary['ok']} of {summary['total']} photos scored, {summary['failed']} failed{rate}")
    print(f"table: {options.out / 'scores'}/shard-*-{summary['fingerprint']}.parquet")
    if options.report:
        from pipelines.report.scored_folder import read

        _write_page(read(options.out), options.out / "report.html")
    return list_failures(run.failures(options.out, summary["fingerprint"]), summary["failed"])


def report(options: argparse.Namespace) -> int:
    """`r2mrf report`: verdicts by any limits, a page, a CSV file, sidecars."""
    from pipelines.report import exports
    from pipelines.report.page import check_output
    from pipelines.report.scored_folder import read

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
    return list_failures(failures, len(failures))


def evaluate(options: argparse.Namespace) -> int:
    """`r2mrf evaluate`: anyone's saved maps against masks."""
    from pipelines.evaluation.saved_maps import compare
    from pipelines.project.tables import write_json

    counts, failures = compare(options.maps, options.masks, options.mask_white, options.map_white)
    summary = counts.summary()
    write_json(options.json, summary)
    for name, value in summary.items():
        print(f"{name:24} {value:.4f}" if isinstance(value, float) else f"{name:24} {value}")
    return list_failures(failures, len(failures))


def _write_page(scored: Scored, page: Path, fetched: list[str] | None = None) -> None:
    from collections import Counter

    from pipelines.report.page import add_pictures, write_page
    from pipelines.storage.addresses import Addresses

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


COMMANDS = {"map": map_photos, "score": score, "report": report, "evaluate": evaluate, "export": export_model}

if __name__ == "__main__":
    sys.exit(main())
