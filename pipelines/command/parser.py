"""The grammar of `r2mrf`: its commands and options, with examples in their help texts."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from r2mrf import __version__
from r2mrf.engine_names import ENGINES, EXPORTS, PRECISIONS
from r2mrf.system.address import Address, is_address, redacted

PROTOCOLS = ("r2mrf", "r3net", "d-dffnet", "pysod", "dd")  # `evaluation.protocols` holds the same
MOST_PIXELS = 178_000_000  # the same limit as in `config.Score`

EXAMPLES = """examples:
  r2mrf map photo.jpg -o map.png              white where the photo is out of focus
  r2mrf app                                   a page to look at photos one by one
  r2mrf score ~/Pictures --out scores --maps  a table of all photos below a folder; run it again to continue
  r2mrf report scores --sharp-below 0.1       a page to browse the table; new thresholds need no new run
  r2mrf evaluate --maps maps --masks gt --json figures.json
  r2mrf export --format onnx -o exported      the model for other programs
  r2mrf map --help                            the details of a command

exit status: 0 = done; 1 = done, but some inputs failed (each one is listed); 2 = could not run

shell completion, here for bash (also available for zsh and tcsh):
  mkdir -p ~/.local/share/bash-completion/completions
  r2mrf --print-completion bash > ~/.local/share/bash-completion/completions/r2mrf
"""

MAP = """examples:
  r2mrf map photo.jpg -o map.png       one map at the photo's displayed size, 255 = out of focus
  r2mrf map *.jpg -o maps --overlay    maps/STEM.png, and maps/overlays/STEM.jpg: each photo tinted by its map
  r2mrf map photo.jpg --view full      what is out of focus at 1:1, from windows of all sizes: slower, finer, stricter
  r2mrf map photo.jpg --view 1500      what is out of focus if the photo is viewed with a long side of 1,500 pixels
  r2mrf map photo.jpg --radius -o radius.png          the blur radius at each pixel
  r2mrf map photo.jpg --model models/r2mrf            with your own model
  r2mrf map photo.jpg --model models:/r2mrf@champion  with a registered model
"""

APP = """examples:
  r2mrf app                        then open the address that it prints, and drop a photo on the page
  r2mrf app --model models/r2mrf   with a model of your own

The page shows a photo, its map at any view, its blur radius, and how the network refines the map.
Only this machine can reach it, and it sends nothing anywhere.
"""

SCORE = """examples:
  r2mrf score ~/Pictures --out scores             all photos below a folder -> scores/scores/*.parquet, summary.json
  r2mrf score ~/Pictures --out scores             run it again to continue after a stop, or to add new photos
  r2mrf score ~/Pictures --out scores --dry-run   count the photos and estimate the time
  r2mrf score a.jpg chosen.txt s3://bucket/photos --out scores --maps --report
  r2mrf score ~/Pictures --out scores --retry     try photos again that could not be read before

Photos are only read, never changed. docs/scoring.md explains the columns, and which failures a run survives.
"""

REPORT = """examples:
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

EVALUATE = """examples:
  r2mrf evaluate --maps maps --masks gt --json figures.json                     matched by stem; white = defocus in both
  r2mrf evaluate --maps maps --masks gt --mask-white focus --json figures.json  masks where white means in focus
  r2mrf evaluate --maps maps --masks gt --mask-values 0,90 --json figures.json  masks where 90 means white
  r2mrf evaluate --maps maps --masks gt --protocol pysod --json figures.json    as PySODMetrics computes them

Figures: mae; f_max, f_adaptive, f_05 (positive = defocus, β² = 0.3); iou. Published protocols have others.
docs/evaluation.md defines them all.
"""

EXPORT = """examples:
  r2mrf export --format onnx -o exported                          model.onnx, and model.json, which describes it
  r2mrf export --format openvino -o exported --model models/r2mrf
  r2mrf export --precision int8 --calibrate photos --model models/r2mrf    makes the form for score --precision int8
"""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors show no password of an address."""

    def error(self, message: str) -> NoReturn:
        super().error(redacted(message))


def parser() -> argparse.ArgumentParser:
    """Build the parser of the whole command line; `command` holds the name of the chosen command."""
    paths: list[argparse.Action] = []  # arguments for which the shell completes file names

    def path(command: argparse.ArgumentParser, *names: str, type: Callable[[str], object] = _file, **options) -> None:
        paths.append(command.add_argument(*names, type=_given(type), **options))

    top = _described(_Parser(prog="r2mrf"), "Where is a photograph out of focus?", EXAMPLES)
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    top.add_argument(
        "--print-completion", choices=("bash", "zsh", "tcsh"), action=_Completion, paths=paths,
        help="print the completion script for this shell, and exit",
    )  # fmt: skip
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="command")

    def command(name: str, text: str, examples: str) -> argparse.ArgumentParser:
        return _described(commands.add_parser(name, help=text), text[0].upper() + text[1:] + ".", examples)

    def model(command: argparse.ArgumentParser) -> None:
        path(command, "--model", type=str, default="lite", help="model folder, models:/NAME@ALIAS, or lite (default)")

    def soft(command: argparse.ArgumentParser) -> None:
        command.add_argument(
            "--soft-above", type=float, metavar="RADIUS",
            help="soft: even the sharpest place is blurred by more than this many pixels (needs --detail in score)",
        )  # fmt: skip

    mapping = command("map", "defocus maps of photos, white = out of focus", MAP)
    path(mapping, "photos", nargs="+", metavar="PHOTO")
    path(
        mapping, "-o", "--out", default=Path("maps"), metavar="FILE_OR_DIR",
        help="a .png file for a single photo, or a folder for STEM.png (default: maps)",
    )  # fmt: skip
    mapping.add_argument(
        "--view", default="whole", metavar="whole|PIXELS|full",
        help="size at which the photo is examined: whole (default) = one square of the network's input; PIXELS = the "
        "long side shrunk to this; full = 1:1",
    )  # fmt: skip
    mapping.add_argument(
        "--radius", action="store_true",
        help="write the blur radius instead: 16-bit PNG in hundredths of a pixel of the photo; 0 = in focus at 1:1, "
        "65535 = cannot be measured",
    )  # fmt: skip
    mapping.add_argument("--overlay", action="store_true", help="also write each photo tinted by its map")
    model(mapping)

    opening = command("app", "a page to look at photos one by one", APP)
    opening.add_argument(
        "--port", type=_port, default=7860, metavar="N", help="port on this machine (default: 7860; 0 = any free port)"
    )
    model(opening)

    scoring = command("score", "a table of scores for a library of photos", SCORE)
    path(
        scoring, "sources", type=str, nargs="+", metavar="SOURCE",
        help="folder, photo, list of paths (.txt), table with a column of paths or of image bytes (.csv, .parquet), or "
        "the address of one of these, like s3://bucket/photos",
    )  # fmt: skip
    path(
        scoring, "-o", "--out", type=_folder, required=True, metavar="DIR",
        help="where to write the table; run the command again to continue",
    )  # fmt: skip
    scoring.add_argument("--maps", action="store_true", help="also write the maps to DIR/maps")
    scoring.add_argument(
        "--detail", action="store_true",
        help="also find the sharpest place of each photo and its blur radius in pixels: takes longer",
    )  # fmt: skip
    soft(scoring)
    scoring.add_argument("--report", action="store_true", help="also write a page to browse them: DIR/report.html")
    scoring.add_argument(
        "--engine", default="auto", choices=("auto", *ENGINES),
        help="what runs the network; auto (default) = the fastest one on this machine in a short trial",
    )  # fmt: skip
    scoring.add_argument(
        "--precision", default="fp32", choices=("auto", *PRECISIONS),
        help="fp32 (default) = the same numbers on every machine; auto = bf16 or int8 if a short trial finds it faster "
        "and in agreement with fp32",
    )  # fmt: skip
    scoring.add_argument("--retry", action="store_true", help="retry photos that failed before")
    scoring.add_argument(
        "--prune", action="store_true",
        help="forget photos that are gone from the given folders; a moved photo, recognised by content, keeps its row",
    )  # fmt: skip
    scoring.add_argument(
        "--watch", nargs="?", type=float, const=5.0, default=0.0, metavar="SECONDS",
        help="keep running, and look for new and changed photos every 5 (or SECONDS) seconds, until Ctrl-C; without "
        "--report",
    )  # fmt: skip
    scoring.add_argument(
        "--by-content", action="store_true",
        help="if a photo's time or size has changed, score it again only if its content has changed, too",
    )  # fmt: skip
    scoring.add_argument(
        "--allow", action="append", default=[], metavar="SERVER", type=_server,
        help="a server or bucket that lists and tables may name, like https://example.org or 's3://*'; may be repeated",
    )  # fmt: skip
    for option, text in (
        ("include", "in folders, score only photos that match a pattern (as in .gitignore); may be repeated"),
        ("exclude", "skip what matches a pattern; may be repeated. A file .r2mrfignore in a folder excludes, too"),
    ):
        scoring.add_argument(f"--{option}", action="append", default=[], metavar="PATTERN", help=text)
    scoring.add_argument(
        "--max-pixels",
        type=_pixels,
        metavar="N",
        help=f"refuse photos with more than N pixels (default and maximum: {MOST_PIXELS})",
    )
    scoring.add_argument("--dry-run", action="store_true", help="only count the photos and estimate the time")
    model(scoring)

    reporting = command("report", "a page to browse a scored folder; new verdicts from other thresholds", REPORT)
    path(reporting, "folder", metavar="DIR", help="the --out of r2mrf score")
    reporting.add_argument(
        "--sharp-below", type=float, metavar="X", help="sharp: the share that is out of focus is smaller; 0 to 1"
    )
    reporting.add_argument(
        "--blurred-above", type=float, metavar="Y", help="blurred: the share that is out of focus is larger; 0 to 1"
    )
    soft(reporting)
    path(reporting, "-o", "--out", metavar="FILE", help="where to write the page (default: DIR/report.html)")
    reporting.add_argument(
        "--fetch", action="append", metavar="ADDRESS", type=_address,
        help="fetch the photos below this address again to make thumbnails; credentials as for score; may be repeated",
    )  # fmt: skip
    path(reporting, "--csv", metavar="FILE", help="also write the table as CSV")
    path(reporting, "--exiftool", metavar="FILE", help="also write a CSV file with which exiftool can label the photos")
    path(
        reporting, "--xmp", metavar="DIR",
        help="also write one sidecar per photo below DIR, laid out like the library; existing ones are merged",
    )  # fmt: skip
    reporting.add_argument(
        "--xmp-name", choices=("full", "stem"), default="full",
        help="IMG_1.JPG.xmp (full, the default, for darktable and digiKam) or IMG_1.xmp (stem, for Lightroom)",
    )  # fmt: skip
    reporting.add_argument(
        "--xmp-fields", type=_fields, default=("keywords",), metavar="FIELD,...",
        help="labels for sidecars and exiftool: keywords (focus:sharp, default), rating (-1 = blurred), label (Green, "
        "Yellow, Red), lightroom (focus|sharp), digikam (focus/sharp)",
    )  # fmt: skip
    reporting.add_argument(
        "--list", type=_verdicts, metavar="VERDICT,...",
        help="print the paths of photos with these verdicts (or `failed`), and write no page unless -o is given",
    )  # fmt: skip
    reporting.add_argument("-0", "--null", action="store_true", help="end each path of --list with a null byte")
    path(reporting, "--link-into", metavar="DIR", help="link the photos into DIR/VERDICT, laid out like the library")
    path(reporting, "--copy-into", metavar="DIR", help="copy the photos instead")

    judging = command("evaluate", "compare saved maps with the masks of the same stem", EVALUATE)
    path(judging, "--maps", required=True, metavar="DIR")
    path(judging, "--masks", required=True, metavar="DIR")
    for side in ("mask", "map"):
        judging.add_argument(
            f"--{side}-white", choices=("defocus", "focus"), default="defocus",
            help=f"what white means in the {side}s (default: defocus)",
        )  # fmt: skip
    judging.add_argument(
        "--mask-values", type=_two_values, metavar="BLACK,WHITE",
        help="which values mean black and white in the masks, for example 0,1 (default: found out, if that is certain)",
    )  # fmt: skip
    judging.add_argument(
        "--protocol", default=PROTOCOLS[0], choices=PROTOCOLS,
        help="whose definitions: this project's (r2mrf, default), or those of a published program",
    )  # fmt: skip
    judging.add_argument(
        "--positive", choices=("defocus", "focus"),
        help="the class that precision and recall of a published protocol refer to (default: its authors' choice)",
    )  # fmt: skip
    path(judging, "--json", required=True, metavar="FILE", help="where to write the figures")

    exporting = command("export", "the model as a graph for other programs", EXPORT)
    exporting.add_argument("--format", choices=EXPORTS)
    path(exporting, "-o", "--out", metavar="DIR", help="a new folder, or that of an earlier export")
    exporting.add_argument(
        "--precision", default="fp32", choices=("fp32", "int8"),
        help="int8: about twice as fast on processors with VNNI; without --format, the form is stored with the model",
    )  # fmt: skip
    path(
        exporting, "--calibrate", metavar="FOLDER",
        help="make the int8 form from photos below this folder (needs nncf): about a hundred, like those to be scored",
    )  # fmt: skip
    model(exporting)
    return top


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text}: give a number from 0 to 65535")
    return int(text)


def _pixels(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= MOST_PIXELS):
        raise argparse.ArgumentTypeError(f"{text}: give a number of pixels from 1 to {MOST_PIXELS}")
    return int(text)


def _two_values(text: str) -> tuple[int, int]:
    black, comma, white = text.partition(",")
    if not (
        comma
        and black.isdecimal()
        and white.isdecimal()
        and int(black) != int(white)
        and max(int(black), int(white)) < 256
    ):
        raise argparse.ArgumentTypeError(f"{text!r}: give two different numbers from 0 to 255, as in 0,1")
    return int(black), int(white)


def _address(text: str) -> str:
    if not is_address(text):
        raise argparse.ArgumentTypeError("not an address: give one like s3://bucket/photos")
    return text


def _given(kind: Callable[[str], object]) -> Callable[[str], object]:
    """Return a type of arguments that refuses an empty text: `"$UNSET"` would be the current folder."""

    def given(text: str) -> object:
        if not text:
            raise argparse.ArgumentTypeError("empty: give a path or a name")
        return kind(text)

    return given


def _folder(text: str) -> Path:
    """Return a local folder, refusing addresses: `Path` would take one for a folder called s3:."""
    if is_address(text):
        raise argparse.ArgumentTypeError(f"{text} is an address, but the table is written to a local folder")
    return Path(text)


def _file(text: str) -> Path:
    """Return a local path, refusing addresses."""
    if is_address(text):
        raise argparse.ArgumentTypeError(f"{text} is an address: give a local file or folder")
    return Path(text)


def _server(text: str) -> str:
    """Return a pattern of servers or buckets, refusing any other text."""
    if not is_address(text) or Address.parse(text).user:
        raise argparse.ArgumentTypeError(f"{text}: give a server or bucket, like https://example.org or 's3://*'")
    return text


def _fields(text: str) -> tuple[str, ...]:
    from pipelines.report.labels import FIELDS

    return _chosen(text, FIELDS)


def _verdicts(text: str) -> tuple[str, ...]:
    from r2mrf.prediction.focus import VERDICTS

    return _chosen(text, (*VERDICTS, "failed"))


def _chosen(text: str, choices: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of a comma-separated list, each of which must be in `choices`."""
    words = tuple(text.split(","))
    if not set(words) <= set(choices):
        raise argparse.ArgumentTypeError(f"{text}: choose from {', '.join(choices)}, separated by commas")
    return words


def _described(command: argparse.ArgumentParser, text: str, examples: str) -> argparse.ArgumentParser:
    command.description, command.epilog = text, examples
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    return command


class _Completion(argparse.Action):
    """Prints a shell's completion script; the library for it is imported only then."""

    def __init__(self, paths: list[argparse.Action], **options):
        super().__init__(**options)
        self.paths = paths

    def __call__(self, parser, namespace, shell, option_string=None):
        try:
            import shtab
        except ModuleNotFoundError:
            parser.error("completion needs shtab, which is not installed: `pip install shtab`")

        for action in self.paths:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab looks for this attribute
        print(shtab.complete(parser, shell))
        parser.exit()
