"""The data card of a build: counts, shares of defocus, blur radii, and a sheet of pictures to look at."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.project import plots
from pipelines.project.tables import write_json
from r2mrf.data import shards
from r2mrf.imaging import images

PAIRS_SHOWN, PAIRS_ACROSS = 48, 6  # on the sheet of pairs; each pair is two tiles wide
VARIANTS_SHOWN = 16  # most variants of a pair that are shown


def pairs_card(prepared: Path, folder: Path) -> None:
    """Write `card.json`, `card.png` (histograms) and `sheet.png` (photos beside their masks) of prepared pairs."""
    table = shards.read(prepared, columns=["split", "kind", "defocused", "doubt", "blur_radius"])
    columns = {name: table[name].to_numpy() for name in table.column_names}
    defocused, radius = columns["defocused"], columns["blur_radius"]
    radius = radius[~np.isnan(radius)]
    card = {
        "pairs": table.num_rows,
        "splits": dict(sorted(Counter(columns["split"]).items())),
        "kinds": dict(sorted(Counter(columns["kind"]).items())),
        "defocused": _quantiles(defocused),
        "wholly_in_focus": float((defocused == 0).mean()),
        "wholly_defocused": float((defocused == 1).mean()),
        "doubt": float(columns["doubt"].mean()),
    }
    if radius.size:  # known only for rendered photos
        card["blur_radius_pixels"] = _quantiles(radius)
    write_json(folder / "card.json", card)
    plots.histograms(
        {"share of a photo that is defocused": defocused, "median blur radius, pixels": radius}, folder / "card.png"
    )
    table = _evenly(shards.read(prepared, columns=["image", "mask"]), PAIRS_SHOWN)
    tiles = [
        tile for row in table.to_pylist() for tile in (images.decode(row["image"]), images.decode_mask(row["mask"]))
    ]
    plots.sheet(tiles, 2 * PAIRS_ACROSS, folder / "sheet.png")


def variants_card(augmented: Path, folder: Path) -> None:
    """Write `card.json` and `sheet.png` (all variants of some pairs, photos over masks) of the training images."""
    per_source = Counter(shards.read(augmented, columns=["source_id"])["source_id"].to_pylist())
    sizes = set(per_source.values())
    card = {"training_images": per_source.total(), "sources": len(per_source), "variants_of_each": sorted(sizes)}
    write_json(folder / "card.json", card)
    across, tiles = min(max(sizes), VARIANTS_SHOWN), []
    paths = sorted(augmented.glob("*.parquet"))
    for path in (paths[0], paths[len(paths) // 2], paths[-1]):  # the first pair of each, so that few pictures are read
        rows = shards.read_shard(path, ["image", "mask"]).slice(0, across).to_pylist()
        tiles += [images.decode(row["image"]) for row in rows] + [images.decode_mask(row["mask"]) for row in rows]
    plots.sheet(tiles, across, folder / "sheet.png")


def _quantiles(values: np.ndarray) -> dict[str, float]:
    return {f"{q:.0%}": round(float(np.quantile(values, q)), 4) for q in (0.05, 0.25, 0.5, 0.75, 0.95)}


def _evenly(table: pa.Table, number: int) -> pa.Table:
    return table.take(np.unique(np.linspace(0, table.num_rows - 1, number).astype(int)))
