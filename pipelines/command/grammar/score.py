"""The options of `r2mrf score`."""

from __future__ import annotations

from pipelines.command.grammar import argument_types
from pipelines.command.grammar.options import Options
from r2mrf.engine_names import ENGINES, PRECISIONS

HELP = "a table of scores for a library of photos"
EXAMPLES = """examples:
  r2mrf score ~/Pictures --out scores             all photos below a folder -> scores/scores/*.parquet, summary.json
  r2mrf score ~/Pictures --out scores             run it again to continue after a stop, or to add new photos
  r2mrf score ~/Pictures --out scores --dry-run   count the photos and estimate the time
  r2mrf score a.jpg chosen.txt s3://bucket/photos --out scores --maps --report
  r2mrf score ~/Pictures --out scores --retry     try photos again that could not be read before

Photos are only read, never changed. docs/scoring.md explains the columns, and which failures a run survives.
"""


def add_options(options: Options) -> None:
    """Add the options of `r2mrf score`."""
    options.add_path(
        "sources", type=str, nargs="+", metavar="SOURCE",
        help="folder, photo, list of paths (.txt), table with a column of paths or of image bytes (.csv, .parquet), or "
        "the address of one of these, like s3://bucket/photos",
    )  # fmt: skip
    options.add_path(
        "-o", "--out", type=argument_types.folder, required=True, metavar="DIR",
        help="where to write the table; run the command again to continue",
    )  # fmt: skip
    options.add("--maps", action="store_true", help="also write the maps to DIR/maps")
    options.add(
        "--detail", action="store_true",
        help="also find the sharpest place of each photo and its blur radius in pixels: takes longer",
    )  # fmt: skip
    options.add_soft_above()
    options.add("--report", action="store_true", help="also write a page to browse them: DIR/report.html")
    options.add(
        "--engine", default="auto", choices=("auto", *ENGINES),
        help="what runs the network; auto (default) = the fastest one on this machine in a short trial",
    )  # fmt: skip
    options.add(
        "--precision", default="fp32", choices=("auto", *PRECISIONS),
        help="fp32 (default) = the same numbers on every machine; auto = bf16 or int8 if a short trial finds it faster "
        "and in agreement with fp32",
    )  # fmt: skip
    options.add("--retry", action="store_true", help="retry photos that failed before")
    options.add(
        "--prune", action="store_true",
        help="forget photos that are gone from the given folders; a moved photo, recognised by content, keeps its row",
    )  # fmt: skip
    options.add(
        "--watch", nargs="?", type=argument_types.seconds, const=5.0, default=0.0, metavar="SECONDS",
        help="keep running, and look for new and changed photos every 5 (or SECONDS) seconds, until Ctrl-C; without "
        "--report",
    )  # fmt: skip
    options.add(
        "--by-content", action="store_true",
        help="if a photo's time or size has changed, score it again only if its content has changed, too",
    )  # fmt: skip
    options.add(
        "--allow", action="append", default=[], metavar="SERVER", type=argument_types.server,
        help="a server or bucket that lists and tables may name, like https://example.org or 's3://*'; may be repeated",
    )  # fmt: skip
    for option, text in (
        ("include", "in folders, score only photos that match a pattern (as in .gitignore); may be repeated"),
        ("exclude", "skip what matches a pattern; may be repeated. A file .r2mrfignore in a folder excludes, too"),
    ):
        options.add(f"--{option}", action="append", default=[], metavar="PATTERN", help=text)
    options.add(
        "--max-pixels",
        type=argument_types.pixels,
        metavar="N",
        help=f"refuse photos with more than N pixels (default and maximum: {argument_types.MOST_PIXELS})",
    )
    options.add("--dry-run", action="store_true", help="only count the photos and estimate the time")
    options.add_model()
