"""Makes the table of results on CUHK's 100 test photos, from published figures and from those measured in released/."""

from __future__ import annotations

from pathlib import Path

from pipelines.evaluation.held_out import FIGURES
from pipelines.project.tables import read_csv, read_json

RELEASED = Path("released")
OURS = {  # workspace -> what its model was trained on, and the target of the Makefile that measures it
    "cuhk_all": ("R²MRF here, trained on CUHK's 604 alone", "cuhk"),
    "cuhk_only": ("R²MRF here, trained on 540 of CUHK's 604; the others chose the settings", "cuhk"),
    "tuned": ("R²MRF here, the released weights, trained further on CUHK alone", "tuned"),
    "mixed": ("R²MRF here, CUHK mixed with rendered photos", "mixed"),
    "lite": ("R²MRF here, the released weights, which were trained on no photo of CUHK", "cuhk"),
}
TEST_PHOTOS = 100
BLANK = dict.fromkeys(
    ("workspace", "f_max", "f_adaptive", "parameters", "gmacs", "hours", "device", "confidence_excess")
)


def cuhk_table(published: dict[str, dict]) -> dict:
    """Return the table's rows, from the worst MAE to the best, and the facts that the page states beside them.

    Args:
        published: method -> set -> [MAE, F, IoU], as in docs/published.yaml.
    """
    rows = [
        {
            "method": method,
            "mae": sets["cuhk"][0],
            "f_05": sets["cuhk"][1],
            "iou": sets["cuhk"][2],
            "whose": "published",
        }
        for method, sets in published.items()
        if "cuhk" in sets
    ]
    best = {
        "mae": min(row["mae"] for row in rows),
        "f_05": max(row["f_05"] for row in rows),
        "iou": max(row["iou"] for row in rows),
    }
    ours = [row for name in OURS if (row := _ours(name, best))]
    measured = {row["workspace"] for row in ours}
    rows = [BLANK | row for row in [*rows, *ours, *_classical()]]
    return {
        "rows": sorted(rows, key=lambda row: -row["mae"]),
        "best": best,
        "ours": ours,
        "missing": {name: target for name, (_, target) in OURS.items() if name not in measured},
        "looks": _looks(),
    }


def _ours(name: str, best: dict[str, float]) -> dict | None:
    """Return the row of one of our models on the 100 photos, or None if it was not measured on them."""
    folder = RELEASED / name / "reports"
    figures, model = read_json(folder / "evaluate/metrics.json"), read_json(folder / "evaluate/model.json")
    if not (figures and model) or figures["images"] != TEST_PHOTOS:
        return None
    trained = read_json(folder / "train/metrics.json") or {}
    ahead = [
        figures["mae"] < best["mae"],
        figures["f_05"] > best["f_05"],
        figures["iou"] > best["iou"],
    ]
    return {
        "method": OURS[name][0],
        "workspace": name,
        "whose": "measured here",
        "better_in": [figure for figure, better in zip(best, ahead, strict=True) if better],
        "hours": trained["seconds"] / 3600 if "seconds" in trained else None,
        "device": trained.get("device", ""),
        "parameters": model["parameters"],
        "gmacs": model["gmacs"],
        "model": model["model"],
        **{figure: figures[figure] for figure in FIGURES},
        "confidence_excess": figures.get("confidence_excess"),
    }


def _classical() -> list[dict]:
    """Return the rows of the classical measures, from the first workspace that measured them on the 100 photos."""
    for name in OURS:
        lines = read_csv(RELEASED / name / "reports/evaluate/comparison.csv")
        if lines and int(lines[0]["photos"]) == TEST_PHOTOS:
            return [
                {"method": line["method"], "whose": "classical, measured here"}
                | {figure: float(line[figure]) for figure in FIGURES}
                for line in lines[1:]
            ]
    return []


def _looks() -> list[dict[str, str]]:
    """Return the models that were measured on the 100 photos, in any workspace."""
    return [line for path in sorted(RELEASED.glob("*/reports/test_looks.csv")) for line in read_csv(path)]
