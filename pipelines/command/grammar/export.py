"""The options of `r2mrf export`."""

from __future__ import annotations

from pipelines.command.grammar.options import Options
from r2mrf.engine_names import EXPORTS

HELP = "the model as a graph for other programs"
EXAMPLES = """examples:
  r2mrf export --format onnx -o exported                          model.onnx, and model.json, which describes it
  r2mrf export --format openvino -o exported --model models/r2mrf
  r2mrf export --precision int8 --calibrate photos --model models/r2mrf    makes the form for score --precision int8
"""


def add_options(options: Options) -> None:
    """Add the options of `r2mrf export`."""
    options.add("--format", choices=EXPORTS)
    options.add_path("-o", "--out", metavar="DIR", help="a new folder, or that of an earlier export")
    options.add(
        "--precision", default="fp32", choices=("fp32", "int8"),
        help="int8: about twice as fast on processors with VNNI; without --format, it is stored in the --model folder",
    )  # fmt: skip
    options.add_path(
        "--calibrate", metavar="FOLDER",
        help="make the int8 form from photos below this folder (needs nncf): about a hundred, like those to be scored",
    )  # fmt: skip
    options.add_model()
