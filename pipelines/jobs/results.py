"""Job results: writes docs/results.md from what the stages and jobs have measured, and from nothing else.

    python -m pipelines.jobs.results        # reports/ -> docs/results.md and the pictures in docs/results

Whatever was not measured is listed with the command that measures it. The text is in results.md.j2. Whether a figure
agrees with the paper is decided here, by comparing the two.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import yaml

from pipelines.evaluation.held_out import BRANCHES
from pipelines.jobs.cuhk_table import cuhk_table
from pipelines.project import pages
from pipelines.project.folders import CHOSEN_STEPS, REPORTS
from pipelines.project.stage import main
from pipelines.project.tables import read_csv, read_json
from pipelines.training.enough_steps import Reached, enough_steps
from r2mrf.config import Config

PAGE = Path("docs/results.md")
PUBLISHED = Path("docs/published.yaml")
# Of each of these, the first folder that has been written is used.
ABLATIONS = (Path("released/ablation/reports/ablate"), REPORTS / "ablate")
SEARCHES = (Path("released/search/reports/tune"), CHOSEN_STEPS.parent)
EVALUATIONS = (REPORTS / "evaluate", Path("released/demo/reports/evaluate"))  # here, or by our own `make demo`
ON_CUHK = tuple(Path("released") / name / "reports/evaluate" for name in ("cuhk_all", "cuhk_only", "lite"))
SPREAD = ("mae", "f_05", "iou", "test_mae", "test_f_05", "test_iou")  # figures whose spread over the seeds is shown
STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}  # 97.5 % quantile of Student's t for the mean of so many values
STABLE = 0.005  # values of F that differ by less count as equal; also the default of tune.tolerance


def results(config: Config) -> None:
    """Write the page."""
    pages.write(PAGE, page(config))


def page(config: Config) -> str:
    """Return the text of docs/results.md; copies its pictures as far as they exist."""
    folder, search = _first(ABLATIONS, "table.csv"), _first(SEARCHES, CHOSEN_STEPS.name)
    on_cuhk = _first(ON_CUHK, "metrics.json")
    ablation = read_csv(folder / "table.csv")
    comparison = read_csv(_first(EVALUATIONS, "comparison.csv") / "comparison.csv")
    rows = {row["row"]: row for row in ablation}
    published = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))
    return pages.render(
        Path(__file__).with_name("results.md.j2"),
        cuhk=cuhk_table(published["figures"]),
        comparison=comparison,
        rival=max(comparison[1:], key=lambda row: float(row["f_05"]), default=None),
        source=config.data.source,
        tuned=read_json(search / CHOSEN_STEPS.name),
        ablation=ablation,
        repeated=repeated(rows),
        refinement=against(rows, "full", ["no_rrm"]),
        fusion=against(rows, "full", [*BRANCHES]),
        sharing=against(rows, "full", ["unshared"]),
        widths=against(rows, "full", ["wide", "wide_amdf"]),
        grid=against(rows, "full", ["fine"]),
        robust=against(rows, "robust", ["full"]),
        sides=against(rows, "full", ["side_growing", "side_small", "side_last"]),
        over_steps=over_steps(rows),
        backbones=against(rows, "resnext101", ["vgg16", "densenet161"]),
        timing=read_csv(REPORTS / "timing/table.csv"),
        published=published,
        pictures=_pictures(
            {
                "curves": REPORTS / "evaluate/curves.png",
                "trials": search / "trials.png",
                "loss": folder / "loss.png",
                "steps": folder / "steps.png",
                "cuhk": on_cuhk / "curves.png",
                "risk": on_cuhk / "risk.png",
            }
        ),
    )


def runs_of(rows: dict[str, dict], name: str, figure: str = "f_05") -> list[float]:
    """Return a figure, F at 0.5 by default, of a row and of its repetitions, as far as they were measured."""
    return list(by_seed(rows, name, figure).values())


def by_seed(rows: dict[str, dict], name: str, figure: str = "f_05") -> dict[str, float]:
    """Return a figure of a row and its repetitions by the number of the repetition, "" for the first run.

    Runs with the same number share all random numbers.
    """
    measured = (row for row in rows.values() if row["status"] == "measured" and row[figure] != "")
    parts = ((*row["row"].partition("."), float(row[figure])) for row in measured)
    return {seed: value for of, _, seed, value in parts if of == name}


def repeated(rows: dict[str, dict]) -> list[dict]:
    """Return the rows that were run several times, with mean and standard deviation of each figure in `SPREAD`.

    A figure that was measured for one run only, or for none, is None.
    """
    found = []
    for name in rows:
        runs = {figure: runs_of(rows, name, figure) for figure in SPREAD}
        if len(runs["f_05"]) > 1:
            spread = {figure: (np.mean(of), np.std(of, ddof=1)) if len(of) > 1 else None for figure, of in runs.items()}
            found.append({"row": name, "runs": len(runs["f_05"]), "tested": len(runs["test_f_05"])} | spread)
    return found


def against(rows: dict[str, dict], best: str, others: list[str]) -> dict | None:
    """Compare the row that is claimed to be best with the others, by F; None unless all were run with a common seed.

    Only runs with the same random numbers are compared: on one seed every row is better than on another. `ahead` is the
    mean difference to the best of the others over `pairs` such pairs of runs, `chance` its standard deviation from pair
    to pair, None if there is one pair. `decided` says whether chance explains less (a t-test, 5 %, two-sided), or, of
    one pair, whether the difference is at least `STABLE`.
    """
    if any(name not in rows or rows[name]["status"] != "measured" for name in (best, *others)):
        return None
    f = {name: by_seed(rows, name) for name in (best, *others)}
    ahead = {name: [f[best][seed] - f[name][seed] for seed in f[best].keys() & f[name].keys()] for name in others}
    if not all(ahead.values()):
        return None
    rival = min(others, key=lambda name: np.mean(ahead[name]))
    mean, pairs = float(np.mean(ahead[rival])), len(ahead[rival])
    found = {"best": rows[best], "rival": rows[rival], "ahead": mean, "agrees": mean > 0, "pairs": pairs}
    if pairs == 1:
        return found | {"chance": None, "decided": abs(mean) >= STABLE}
    chance = float(np.std(ahead[rival], ddof=1))
    return found | {"chance": chance, "decided": abs(mean) > STUDENT[min(pairs, max(STUDENT))] * chance / pairs**0.5}


def over_steps(rows: dict[str, dict]) -> dict | None:
    """Find the smallest T from which F stays within `STABLE` of its best; None unless all rows of steps were measured.

    Figures are means over the seeds with which every T was run. `settled` says whether there is such a T. `tested`
    lists the T that were measured on the test pairs with several seeds, and means over the seeds that they share.
    """
    steps = sorted(int(name[1:]) for name in rows if name[0] == "T" and name[1:].isdigit())
    if not steps or any(rows[f"T{t}"]["status"] != "measured" for t in steps):
        return None
    runs = {t: _row_of(rows, t) for t in steps}
    f, mae, iou = (_means(rows, runs, figure) for figure in ("f_05", "mae", "iou"))
    often = {t: name for t, name in runs.items() if len(runs_of(rows, name, "test_mae")) > 1}
    tested = {figure: _means(rows, often, f"test_{figure}") for figure in ("mae", "iou")}
    best = max(f.values())
    low = [t for t in steps if f[t] < best - STABLE - 1e-9]
    stable = next((t for t in steps if not low or t > low[-1]), None)
    return {
        "first": f[steps[0]],
        "last": steps[-1],
        "stable": stable,
        "settled": stable is not None,
        "best": best,
        "mae": [*mae.values()],
        "iou": [*iou.values()],
        "tested": [{"steps": t, "mae": tested["mae"][t], "iou": tested["iou"][t]} for t in tested["mae"]],
        "chosen": enough_steps({t: Reached(f[t], mae[t]) for t in steps}, STABLE),
        "training_steps": rows[f"T{steps[0]}"]["training_steps"],
        "learnt_from": rows[f"T{steps[0]}"]["learnt_from"],
        "agrees": stable is not None and stable <= 6 and f[6] > f[0] + STABLE,
    }


def _means(rows: dict[str, dict], names: dict[int, str], figure: str) -> dict[int, float]:
    """Return the mean of a figure for each of these rows, over the seeds that they share; nothing if there are none."""
    runs = {t: by_seed(rows, name, figure) for t, name in names.items()}
    seeds = set.intersection(*map(set, runs.values())) if runs else set()
    return {t: float(np.mean([of[seed] for seed in seeds])) for t, of in runs.items() if seeds}


def _row_of(rows: dict[str, dict], steps: int) -> str:
    """Return the row with this many steps: `full`, which was run more often, if it is the profile's own number."""
    return "full" if rows.get("full", {}).get("steps") == str(steps) else f"T{steps}"


def _first(folders: tuple[Path, ...], name: str) -> Path:
    """Return the first folder that has a file of this name, or the last folder."""
    return next((folder for folder in folders if (folder / name).is_file()), folders[-1])


def _pictures(made: dict[str, Path]) -> dict[str, str]:
    """Copy those of these pictures that exist next to the page; return their paths, relative to the page, by name.

    Pictures are not committed where they are made, so a copy from an earlier run stays if there is no new one.
    `trained_on` is drawn next to the page by `make pictures`.
    """
    found = {}
    for name, path in {"trained_on": None, **made}.items():
        copy = PAGE.with_suffix("") / f"{name}.png"
        if path and path.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        if copy.is_file():
            found[name] = f"results/{name}.png"
    return found


if __name__ == "__main__":
    main(results)
