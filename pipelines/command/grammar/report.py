"""The options of `r2mrf report`."""

from __future__ import annotations

from pipelines.command.grammar import argument_types
from pipelines.command.grammar.options import Options

HELP = "a page to browse a scored folder; new verdicts from other thresholds"
EXAMPLES = """examples:
  r2mrf report scores                            scores/report.html, with the thresholds of the run
  r2mrf report scores --sharp-below 0.1 --blurred-above 0.6
  r2mrf report scores --fetch s3://bucket/photos    add thumbnails of the photos in this bucket
  r2mrf report scores --csv scores.csv           the whole table
  r2mrf report scores --xmp ~/Pictures           IMG_1.JPG.xmp beside IMG_1.JPG, with the keyword focus:sharp
  r2mrf report scores --list blurred -0          paths for xargs -0 and similar programs
  r2mrf report scores --link-into sorted         sorted/blurred/2026/IMG_1.JPG, … as links
  r2mrf report scores --exiftool labels.csv      then: exiftool -csv+=labels.csv -sep ", " DIR

Thresholds that are not given are those of the run. Photos are only read, never changed.
"""


def add_options(options: Options) -> None:
    """Add the options of `r2mrf report`."""
    options.add_path("folder", metavar="DIR", help="the --out of r2mrf score")
    options.add(
        "--sharp-below", type=float, metavar="X", help="sharp: the share that is out of focus is smaller; 0 to 1"
    )
    options.add(
        "--blurred-above", type=float, metavar="Y", help="blurred: the share that is out of focus is larger; 0 to 1"
    )
    options.add_soft_above()
    options.add_path("-o", "--out", metavar="FILE", help="where to write the page (default: DIR/report.html)")
    options.add(
        "--fetch", action="append", metavar="ADDRESS", type=argument_types.address,
        help="fetch the photos below this address again to make thumbnails; credentials as for score; may be repeated",
    )  # fmt: skip
    options.add_path("--csv", metavar="FILE", help="also write the table as CSV")
    options.add_path(
        "--exiftool", metavar="FILE", help="also write a CSV file with which exiftool can label the photos"
    )
    options.add_path(
        "--xmp", metavar="DIR",
        help="also write one sidecar per photo below DIR, laid out like the library; existing ones are merged",
    )  # fmt: skip
    options.add(
        "--xmp-name", choices=("full", "stem"), default="full",
        help="IMG_1.JPG.xmp (full, the default, for darktable and digiKam) or IMG_1.xmp (stem, for Lightroom)",
    )  # fmt: skip
    options.add(
        "--xmp-fields", type=argument_types.fields, default=("keywords",), metavar="FIELD,...",
        help="labels for sidecars and exiftool: keywords (focus:sharp, default), rating (-1 = blurred), label (Green, "
        "Yellow, Red), lightroom (focus|sharp), digikam (focus/sharp)",
    )  # fmt: skip
    options.add(
        "--list", type=argument_types.verdicts, metavar="VERDICT,...",
        help="print the paths of photos with these verdicts (or `failed`), and write no page unless -o is given",
    )  # fmt: skip
    options.add("-0", "--null", action="store_true", help="end each path of --list with a null byte")
    options.add_path("--link-into", metavar="DIR", help="link the photos into DIR/VERDICT, laid out like the library")
    options.add_path("--copy-into", metavar="DIR", help="copy the photos instead")
