"""The options of `r2mrf app`."""

from __future__ import annotations

from pipelines.command.grammar import argument_types
from pipelines.command.grammar.options import Options

HELP = "a page to look at photos one by one"
EXAMPLES = """examples:
  r2mrf app                        then open the address that it prints, and drop a photo on the page
  r2mrf app --model models/r2mrf   with a model of your own

The page shows a photo, its map at any view, its blur radius, and how the network refines the map.
Only this machine can reach it, and it sends nothing anywhere.
"""


def add_options(options: Options) -> None:
    """Add the options of `r2mrf app`."""
    options.add(
        "--port", type=argument_types.port, default=7860, metavar="N",
        help="port on this machine (default: 7860; 0 = any free port)",
    )  # fmt: skip
    options.add_model()
