"""`r2mrf report`: makes a page, tables, sidecars, lists and links from a scored folder."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.command.failures import list_failures
from pipelines.command.terminal import printable, say

if TYPE_CHECKING:
    from pipelines.report.scored_folder import ReportRow, Scored


def report(options: argparse.Namespace) -> int:
    """Run `r2mrf report`: apply thresholds and write a page, tables, sidecars, a list or links."""
    from pipelines.report.scored_folder import check_target, read

    scored = read(
        options.folder,
        sharp_below=options.sharp_below,
        blurred_above=options.blurred_above,
        soft_above=options.soft_above,
    )
    page = options.out or options.folder / "report.html"
    for target in (page, options.csv, options.exiftool, options.xmp, options.link_into, options.copy_into):
        if target:
            check_target(scored, target)
    if options.list:
        _print_paths(scored.rows, options.list, b"\0" if options.null else b"\n")
    news = sys.stderr if options.list else sys.stdout  # a program reads the list from stdout
    if options.out or not options.list:
        scored = write_report(scored, page, options.fetch)
    elif options.csv or options.xmp or options.exiftool:
        scored = _with_pictures(scored, options.fetch)
    failures = _export(scored, options)
    for target in (options.csv, options.exiftool):
        if target:
            say(f"table: {target}", news)
    return list_failures(failures, len(failures))


def write_report(scored: Scored, page: Path, fetched: list[str] | None = None) -> Scored:
    """Write the page, print a summary of it, and return the folder with its pictures.

    `fetched`: addresses whose photos are fetched for thumbnails.
    """
    from collections import Counter

    from pipelines.report.page import write_page

    scored = _with_pictures(scored, fetched)
    write_page(scored, page)
    verdicts = Counter(row.verdict or "failed" for row in scored.rows)
    say(f"{scored.folder}: " + ", ".join(f"{number} {verdict}" for verdict, number in verdicts.most_common()))
    if gone := sum(row.status == "ok" and not row.thumbnail for row in scored.rows):
        say(f"without a thumbnail, because moved, changed, or at an address (see r2mrf report --fetch): {gone}")
    say(f"page: {page}")
    return scored


def _with_pictures(scored: Scored, fetched: list[str] | None) -> Scored:
    from pipelines.report.page import with_pictures
    from pipelines.storage.addresses import Addresses

    addresses = Addresses(fetched or [])
    for source in fetched or []:
        addresses.facts(source)  # reports an unreachable address now instead of leaving out pictures
    return with_pictures(scored, addresses)


def _export(scored: Scored, options: argparse.Namespace) -> list[str]:
    """Write everything that was asked for besides the page; return a sentence for each photo that was not reached."""
    from pipelines.report import sidecars, tables, verdict_folders

    if options.csv:
        tables.write_csv(scored.rows, options.csv)
    if options.exiftool:
        tables.write_exiftool(scored.rows, options.exiftool, options.xmp_fields)
    failures = []
    if options.xmp:
        failures += sidecars.write_sidecars(scored.rows, options.xmp, options.xmp_name, options.xmp_fields)
    for folder, copy in ((options.link_into, False), (options.copy_into, True)):
        if folder:
            failures += verdict_folders.fill(scored.rows, folder, copy)[1]
    return failures


def _print_paths(rows: list[ReportRow], verdicts: tuple[str, ...], end: bytes) -> None:
    """Print the paths of photos as they are on disk, byte for byte; on a terminal, in printable form."""
    from pipelines.library.photo import from_text

    for row in rows:
        if (row.verdict or "failed") in verdicts:
            path = from_text(row.path)
            if sys.stdout.isatty():
                print(printable(path))
            else:
                sys.stdout.flush()
                sys.stdout.buffer.write(os.fsencode(path) + end)
    sys.stdout.flush()
