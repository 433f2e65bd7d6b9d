"""The options of `r2mrf map`."""

from __future__ import annotations

from pathlib import Path

from pipelines.command.grammar.options import Options

HELP = "defocus maps of photos, white = out of focus"
EXAMPLES = """examples:
  r2mrf map photo.jpg -o map.png       one map at the photo's displayed size, 255 = out of focus
  r2mrf map *.jpg -o maps --overlay    maps/STEM.png, and maps/overlays/STEM.jpg: each photo tinted by its map
  r2mrf map photo.jpg --view full      what is out of focus at 1:1, from windows of all sizes: slower, finer, stricter
  r2mrf map photo.jpg --view 1500      what is out of focus if the photo is viewed with a long side of 1,500 pixels
  r2mrf map photo.jpg --radius -o radius.png          the blur radius at each pixel
  r2mrf map photo.jpg --model models/r2mrf            with your own model
  r2mrf map photo.jpg --model models:/r2mrf@champion  with a registered model
"""


def add_options(options: Options) -> None:
    """Add the options of `r2mrf map`."""
    options.add_path("photos", nargs="+", metavar="PHOTO")
    options.add_path(
        "-o", "--out", default=Path("maps"), metavar="FILE_OR_DIR",
        help="a .png file for a single photo, or a folder for STEM.png (default: maps)",
    )  # fmt: skip
    options.add(
        "--view", default="whole", metavar="whole|PIXELS|full",
        help="size at which the photo is examined: whole (default) = one square of the network's input; PIXELS = the "
        "long side shrunk to this; full = 1:1",
    )  # fmt: skip
    options.add(
        "--radius", action="store_true",
        help="write the blur radius instead: 16-bit PNG in hundredths of a pixel of the photo; 0 = in focus at 1:1, "
        "65535 = cannot be measured",
    )  # fmt: skip
    options.add("--overlay", action="store_true", help="also write each photo tinted by its map")
    options.add_model()
