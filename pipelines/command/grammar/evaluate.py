"""The options of `r2mrf evaluate`."""

from __future__ import annotations

from pipelines.command.grammar import argument_types
from pipelines.command.grammar.options import Options

PROTOCOLS = ("r2mrf", "r3net", "d-dffnet", "pysod", "dd")  # `evaluation.protocols` holds the same
HELP = "compare saved maps with the masks of the same stem"
EXAMPLES = """examples:
  r2mrf evaluate --maps maps --masks gt                                         matched by stem; white = defocus in both
  r2mrf evaluate --maps maps --masks gt --json figures.json                     also writes the figures to a file
  r2mrf evaluate --maps maps --masks gt --mask-white focus                      masks where white means in focus
  r2mrf evaluate --maps maps --masks gt --mask-values 0,90                      masks where 90 means white
  r2mrf evaluate --maps maps --masks gt --protocol pysod                        as PySODMetrics computes them

Figures: mae; f_max, f_adaptive, f_05 (positive = defocus, β² = 0.3); iou. Published protocols have others.
docs/evaluation.md defines them all.
"""


def add_options(options: Options) -> None:
    """Add the options of `r2mrf evaluate`."""
    options.add_path("--maps", required=True, metavar="DIR")
    options.add_path("--masks", required=True, metavar="DIR")
    for side in ("mask", "map"):
        options.add(
            f"--{side}-white", choices=("defocus", "focus"), default="defocus",
            help=f"what white means in the {side}s (default: defocus)",
        )  # fmt: skip
    options.add(
        "--mask-values", type=argument_types.two_values, metavar="BLACK,WHITE",
        help="which values mean black and white in the masks, for example 0,1 (default: found out, if that is certain)",
    )  # fmt: skip
    options.add(
        "--protocol", default=PROTOCOLS[0], choices=PROTOCOLS,
        help="whose definitions: this project's (r2mrf, default), or those of a published program",
    )  # fmt: skip
    options.add(
        "--positive", choices=("defocus", "focus"),
        help="the class that precision and recall of a published protocol refer to (default: its authors' choice)",
    )  # fmt: skip
    options.add_path("--json", metavar="FILE", help="also write the figures to a file")
