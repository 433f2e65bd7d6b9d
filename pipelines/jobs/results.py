"""Job results: docs/results.md from what the stages and jobs have measured, and from nothing else.

    python -m pipelines.jobs.results        # reports/ -> docs/results.md and the pictures in docs/results

What was not measured is named with the command that measures it. The words are in results.md.j2; whether a figure
agrees with the paper is decided here, by comparing.
"""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import yaml

from pipelines.project import pages
from pipelines.project.folders import CHOSEN_STEPS, REPORTS
from pipelines.project.stage import main
from r2mrf.config import Config

PAGE = Path("docs/results.md")
PUBLISHED = Path("docs/published.yaml")
PICTURES = {
    "curves": REPORTS / "evaluate/curves.png",
    "trials": CHOSEN_STEPS.with_name("trials.png"),
    "loss": REPORTS / "ablate/loss.png",
    "steps": REPORTS / "ablate/steps.png",
}
STABLE = 0.005  # F that differ by less are called equal, here and by the default of tune.tolerance


def results(config: Config) -> None:
    """Write the page."""
    pages.write(PAGE, page(config))


def page(config: Config) -> str:
    """The text of docs/results.md; copies the pictures that there are."""
    ablation, comparison = _csv(REPORTS / "ablate/table.csv"), _csv(REPORTS / "evaluate/comparison.csv")
    rows = {row["row"]: row for row in ablation}
    return pages.render(
        Path(__file__).with_name("results.md.j2"),
        comparison=comparison,
        rival=max(comparison[1:], key=lambda row: float(row["f_05"]), default=None),
        source=config.data.source,
        tuned=_json(CHOSEN_STEPS),
        ablation=ablation,
        refinement=against(rows, "full", ["no_rrm"]),
        fusion=against(rows, "full", [f"O{branch}" for branch in range(1, 6)]),
        over_steps=over_steps(rows),
        backbones=against(rows, "resnext101", ["vgg16", "densenet161"]),
        timing=_csv(REPORTS / "timing/table.csv"),
        published=yaml.safe_load(PUBLISHED.read_text(encoding="utf-8")),
        pictures=_pictures(),
    )


def against(rows: dict[str, dict], best: str, others: list[str]) -> dict | None:
    """What the paper finds best against the others, by F at 0.5; None unless all of them were measured."""
    found = [rows[name] for name in (best, *others) if name in rows]
    measured = [row for row in found if row["status"] == "measured"]
    if len(measured) <= len(others):
        return None
    first, *rest = measured
    rival = max(rest, key=lambda row: float(row["f_05"]))
    ahead = float(first["f_05"]) - float(rival["f_05"])
    return {"best": first, "rival": rival, "ahead": ahead, "agrees": ahead > 0}


def over_steps(rows: dict[str, dict]) -> dict | None:
    """From which T on F stays within `STABLE` of its best, of the rows T0, T1, …: behind the last one, if from none;
    None unless all were measured."""
    steps = sorted((row for name, row in rows.items() if name[0] == "T"), key=lambda row: int(row["row"][1:]))
    if not steps or any(row["status"] != "measured" for row in steps):
        return None
    f = [float(row["f_05"]) for row in steps]
    low = [i for i, value in enumerate(f) if value < max(f) - STABLE - 1e-9]
    stable = low[-1] + 1 if low else 0
    return {
        "first": steps[0],
        "last": len(f) - 1,
        "stable": stable,
        "best": max(f),
        "agrees": stable <= 6 and f[6] > f[0] + STABLE,
    }


def _pictures() -> dict[str, str]:
    """Those that there are, copied beside the page: name -> where, seen from it."""
    found = {}
    for name, path in PICTURES.items():
        if path.is_file():
            copy = PAGE.with_suffix("") / f"{name}.png"
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            found[name] = f"results/{name}.png"
    return found


def _csv(path: Path) -> list[dict]:
    """Rows of a table; none if it was not made."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _json(path: Path) -> dict | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


if __name__ == "__main__":
    main(results)
