"""What `r2mrf` understands: its commands, their options, and their help by example."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from r2mrf import __version__
from r2mrf.engine_names import ENGINES, EXPORTS, PRECISIONS

EXAMPLES = """examples:
  r2mrf map photo.jpg -o map.png              white where the photo is out of focus
  r2mrf score ~/Pictures --out scores --maps  a table of all photos below a folder; run again to go on
  r2mrf report scores --sharp-below 0.1       a page to look through it; other limits, no new run of the network
  r2mrf evaluate --maps maps --masks gt --json figures.json
  r2mrf export --format onnx -o exported      the model for other programs
  r2mrf map --help                            more of each command

exit status: 0 = done; 1 = done, but some inputs failed (each is listed); 2 = could not run

completion of commands, options and files, in bash (also zsh, tcsh):
  mkdir -p ~/.local/share/bash-completion/completions
  r2mrf --print-completion bash > ~/.local/share/bash-completion/completions/r2mrf
"""

MAP = """examples:
  r2mrf map photo.jpg -o map.png       one map, of the photo's displayed size, 255 = out of focus
  r2mrf map *.jpg -o maps --overlay    maps/STEM.png, and maps/overlays/STEM.jpg: each map laid over its photo
  r2mrf map photo.jpg --model models/r2mrf            by a model of your own
  r2mrf map photo.jpg --model models:/r2mrf@champion  by the registry's
"""

SCORE = """examples:
  r2mrf score ~/Pictures --out scores             all photos below a folder -> scores/scores/*.parquet, summary.json
  r2mrf score ~/Pictures --out scores             once more: goes on after a stop, or adds what is new
  r2mrf score ~/Pictures --out scores --dry-run   how many photos there are, and about how long they take
  r2mrf score a.jpg chosen.txt s3://bucket/photos --out scores --maps --report
  r2mrf score ~/Pictures --out scores --retry     photos that could not be read before, once more

Photos are only read. What a run survives, and what the columns mean: docs/scoring.md.
"""

REPORT = """examples:
  r2mrf report scores                            scores/report.html, verdicts by the limits of the run
  r2mrf report scores --sharp-below 0.1 --blurred-above 0.6
  r2mrf report scores --fetch s3://bucket/photos    photos there get thumbnails too
  r2mrf report scores --csv scores.csv --xmp sidecars    for other programs

Limits that are not given are those of the run. Photos are only read.
"""

EVALUATE = """examples:
  r2mrf evaluate --maps maps --masks gt --json figures.json                     stem by stem; all white = defocus
  r2mrf evaluate --maps maps --masks gt --mask-white focus --json figures.json  masks that are white in focus

Figures: mae; f_max, f_adaptive, f_05 (positive = defocus, β² = 0.3); iou. How they are defined: docs/method.md.
"""

EXPORT = """examples:
  r2mrf export --format onnx -o exported                          model.onnx, and model.json, which explains it
  r2mrf export --format openvino -o exported --model models/r2mrf
  r2mrf export --precision int8 --calibrate photos --model models/r2mrf    for r2mrf score --precision int8
"""


def parser() -> argparse.ArgumentParser:
    """Of the whole command line. The chosen command stands in `command`."""
    paths: list[argparse.Action] = []  # arguments that a shell completes by files

    def path(command: argparse.ArgumentParser, *names: str, type: Callable[[str], object] = Path, **options) -> None:
        paths.append(command.add_argument(*names, type=type, **options))

    top = _described(argparse.ArgumentParser(prog="r2mrf"), "Where is a photograph out of focus?", EXAMPLES)
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    top.add_argument(
        "--print-completion", choices=("bash", "zsh", "tcsh"), action=_Completion, paths=paths,
        help="print a script by which this shell completes commands, and leave",
    )  # fmt: skip
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="command")

    def command(name: str, text: str, examples: str) -> argparse.ArgumentParser:
        return _described(commands.add_parser(name, help=text), text[0].upper() + text[1:] + ".", examples)

    def model(command: argparse.ArgumentParser) -> None:
        path(command, "--model", type=str, default="lite", help="model folder, models:/NAME@ALIAS, or lite (default)")

    mapping = command("map", "defocus maps of photos, white = out of focus", MAP)
    path(mapping, "photos", nargs="+", metavar="PHOTO")
    path(
        mapping, "-o", "--out", default=Path("maps"), metavar="FILE_OR_DIR",
        help="a .png file for one photo, or a folder for STEM.png (default: maps)",
    )  # fmt: skip
    mapping.add_argument("--overlay", action="store_true", help="also write each map laid over its photo")
    model(mapping)

    scoring = command("score", "a table of a library of photos", SCORE)
    path(
        scoring, "sources", type=str, nargs="+", metavar="SOURCE",
        help="folder, photo, list of paths (.txt), table with a column of paths or of image bytes (.csv, .parquet), or "
        "an address of one of these like s3://bucket/photos",
    )  # fmt: skip
    path(
        scoring, "-o", "--out", type=_folder, required=True, metavar="DIR",
        help="where the table goes; run again to go on",
    )  # fmt: skip
    scoring.add_argument("--maps", action="store_true", help="also write the maps, into DIR/maps")
    scoring.add_argument("--report", action="store_true", help="also write a page to look through it: DIR/report.html")
    scoring.add_argument(
        "--engine", default="auto", choices=("auto", *ENGINES),
        help="what runs the network; auto (default): what a short trial finds fastest here",
    )  # fmt: skip
    scoring.add_argument(
        "--precision", default="fp32", choices=("auto", *PRECISIONS),
        help="fp32 (default): the same numbers on every machine; auto: bf16 where a trial finds it faster and in "
        "agreement",
    )  # fmt: skip
    scoring.add_argument("--retry", action="store_true", help="score photos that failed before once more")
    scoring.add_argument(
        "--by-content", action="store_true",
        help="photos whose time or size has changed are read, and scored anew only if their content has changed",
    )  # fmt: skip
    scoring.add_argument("--dry-run", action="store_true", help="only count the photos and estimate the time")
    model(scoring)

    reporting = command("report", "a page to look through a scored folder; verdicts by other limits", REPORT)
    path(reporting, "folder", metavar="DIR", help="the --out of r2mrf score")
    reporting.add_argument(
        "--sharp-below", type=float, metavar="X", help="sharp: a smaller share is out of focus, 0 to 1"
    )
    reporting.add_argument(
        "--blurred-above", type=float, metavar="Y", help="blurred: a larger share is out of focus, 0 to 1"
    )
    path(reporting, "-o", "--out", metavar="FILE", help="where the page goes (default: DIR/report.html)")
    reporting.add_argument(
        "--fetch", action="append", metavar="ADDRESS", type=_address,
        help="fetch the photos of its bucket once more, for thumbnails; keys as for score; may be given several times",
    )  # fmt: skip
    path(reporting, "--csv", metavar="FILE", help="also write the table as CSV")
    path(reporting, "--xmp", metavar="DIR", help="also write a sidecar a photo, STEM.xmp, into this folder")

    judging = command("evaluate", "score saved maps against masks of the same stem", EVALUATE)
    path(judging, "--maps", required=True, metavar="DIR")
    path(judging, "--masks", required=True, metavar="DIR")
    for side in ("mask", "map"):
        judging.add_argument(
            f"--{side}-white", choices=("defocus", "focus"), default="defocus",
            help=f"what white means in the {side}s (default: defocus)",
        )  # fmt: skip
    path(judging, "--json", required=True, metavar="FILE", help="where the figures go")

    exporting = command("export", "the model as a graph for other programs", EXPORT)
    exporting.add_argument("--format", choices=EXPORTS)
    path(exporting, "-o", "--out", metavar="DIR", help="a new folder, or an earlier export")
    exporting.add_argument(
        "--precision", default="fp32", choices=("fp32", "int8"),
        help="int8: about twice as fast on processors with VNNI; without --format its graph is kept with the model",
    )  # fmt: skip
    path(
        exporting, "--calibrate", metavar="FOLDER",
        help="make the int8 graph from photos below this folder (needs nncf), some hundred like those to be scored",
    )  # fmt: skip
    model(exporting)
    return top


def _address(text: str) -> str:
    from pipelines.storage.addresses import is_address

    if not is_address(text):
        raise argparse.ArgumentTypeError(f"{text} is no address: give one like s3://bucket/photos")
    return text


def _folder(text: str) -> Path:
    """Of this machine: `Path` would make a folder s3: of an address."""
    if "://" in text:
        raise argparse.ArgumentTypeError(f"{text} is an address, and a table is written to a folder of this machine")
    return Path(text)


def _described(command: argparse.ArgumentParser, text: str, examples: str) -> argparse.ArgumentParser:
    command.description, command.epilog = text, examples
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    return command


class _Completion(argparse.Action):
    """Prints a shell's script. What it needs is imported only then."""

    def __init__(self, paths: list[argparse.Action], **options):
        super().__init__(**options)
        self.paths = paths

    def __call__(self, parser, namespace, shell, option_string=None):
        import shtab

        for action in self.paths:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # where shtab looks for it
        print(shtab.complete(parser, shell))
        parser.exit()
