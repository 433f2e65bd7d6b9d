"""Stage ablate: the paper's ablations, sections 5.1 to 5.4, within a budget of training time.

    dvc exp run -S ablate.minutes=240 ablate      # rows until 240 minutes of training are spent
    python -m pipelines.ablate T3 no_rrm          # these rows, whatever the budget
    dvc repro ablate                              # the table of what has been measured

Writes reports/ablate: table.csv, table.md, loss.png (with and without RRM), steps.png (F and MAE over T), and
measured.json, what was measured of each row, by the fingerprint of its data, parameters and code: a row is done once.
What was stopped goes on from its last checkpoint. Rows of the profile paper need a GPU.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from pipelines.evaluation.ablation_rows import Row, rows
from pipelines.evaluation.held_out import BRANCHES, branch_counts
from pipelines.project import plots
from pipelines.project.folders import AUGMENTED, PREPARED, REPORTS, fingerprint_of, with_tuned_steps
from pipelines.project.stage import run
from pipelines.project.tables import write_csv, write_json
from pipelines.storage.outputs import here
from r2mrf.config import Config
from r2mrf.errors import UserError

if TYPE_CHECKING:  # where no row is run, torch and Ray are not needed
    from pipelines.training.states import States

FOLDER = REPORTS / "ablate"
MEASURED = FOLDER / "measured.json"
FIGURES = ("mae", "f_max", "f_adaptive", "f_05", "iou")
FACTS = ("profile", "backbone", "steps", "data", "training_steps", "epochs", "seconds", "device")


def ablate(config: Config, named: list[str] | None = None) -> None:
    """The stage: rows within the budget of `ablate.minutes`, or those that are named, and the table of all.

    Raises:
        UserError: no such row; or a named one cannot be run.
    """
    config = with_tuned_steps(config)
    every = rows(config)
    if unknown := set(named or ()) - {row.name for row in every}:
        known = ", ".join(row.name for row in every)
        raise UserError(f"no row {', '.join(sorted(unknown))}: the rows are {known}")
    data = [fingerprint_of(AUGMENTED), fingerprint_of(PREPARED)]
    keys = {row.name: row.key(config, data) for row in every}
    found, reasons = _measured(), {}
    for row in every:
        key = keys[row.name]
        spent = sum(found[done]["seconds"] for done in set(keys.values()) & found.keys())
        if key in found or not (row.name in named if named else _affordable(row, spent, config.ablate.minutes)):
            continue
        try:
            found[key] = _measure(row, config, key)
        except UserError as error:
            if named:
                raise
            reasons[row.name] = str(error)
            print(f"{row.name}: {error}")
            continue
        write_json(MEASURED, found)
        _states(config, key).remove()  # not before: a row that is killed in between is not trained again
    write_json(MEASURED, found)  # also where nothing was: DVC keeps it
    table = _tabulate(every, {row.name: found[keys[row.name]] for row in every if keys[row.name] in found}, reasons)
    _write(table)
    _draw(every, keys, found)
    missing = sum(line["status"] != "measured" for line in table)
    print(f"{FOLDER}/table.md: {len(table) - missing} rows measured, {missing} not run")
    if missing and not named:
        given = f"ablate.minutes is {config.ablate.minutes:g}"
        print(f"{given}: `dvc exp run -S ablate.minutes=240 ablate` runs more of them")


def _affordable(row: Row, spent: float, minutes: float) -> bool:
    """`spent`: seconds of training so far."""
    if spent >= 60 * minutes:
        return False
    if row.needs_gpu:
        import torch

        return torch.cuda.is_available()
    return True


def _states(config: Config, key: str) -> States:
    from pipelines.training.states import States

    return States(config.tracking.states, f"ablate-{key[:16]}")


def _measure(row: Row, config: Config, key: str) -> dict:
    """Train a row's network, or go on with it, and measure it on the test pairs."""
    from pipelines.training.run import fit, with_resolved_precision
    from r2mrf.data import shards
    from r2mrf.network.cost import cost_of

    ours = with_resolved_precision(row.config(config))
    print(f"{row.name}: {row.what}; {ours.train.steps} steps of {ours.train.batch}")
    trainer = fit(ours, key, _states(config, key), "ablate")
    counts = branch_counts(trainer)
    images = shards.read(here(AUGMENTED), columns=["variant"]).num_rows
    parameters, macs = cost_of(ours.model)
    figures = {name: count.summary() for name, count in counts.items()}
    return {
        "fingerprint": key,
        "profile": row.profile,
        "backbone": ours.model.backbone,
        "steps": ours.model.steps,
        "data": f"{ours.data.source}, {images} training images, {figures['fused']['images']} test pairs",
        "training_steps": ours.train.steps,
        "epochs": round(ours.train.steps * ours.train.batch / images, 3),
        "seconds": round(_seconds(trainer.history, ours.train.batch), 1),
        "device": _device(),
        "parameters": parameters,
        "gmacs": round(macs / 1e9, 4),
        "figures": figures,
        "history": trainer.history,
    }


def _seconds(history: list[dict], batch: int) -> float:
    """Of training alone, also if it was stopped and went on elsewhere."""
    before = [0, *(report["step"] for report in history)]
    return sum(
        (now["step"] - last) * batch / now["images_per_second"] for last, now in zip(before, history, strict=False)
    )


def _device() -> str:
    import torch

    from r2mrf.system.machine import cores

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{cores()} processor core{'s' * (cores() > 1)}"


def _tabulate(every: list[Row], measured: dict[str, dict], reasons: dict[str, str]) -> list[dict]:
    """Lines of the table, one a row, and one for each branch's own output in the network as it is."""
    lines = []
    for row in every:
        found = measured.get(row.name)
        lines.append(_line(row.name, row.what, row, found, "fused", reasons.get(row.name)))
        if row.name == "full":
            for branch in BRANCHES:
                what = f"output of branch {branch[1]} alone, of the same network"
                lines.append(_line(branch, what, row, found, branch, reasons.get(row.name)))
    return lines


def _line(name: str, what: str, row: Row, found: dict | None, output: str, reason: str | None) -> dict:
    line = {"row": name, "what": what, "status": "measured" if found else "not run"}
    if not found:
        because = reason or ("needs a GPU" if row.needs_gpu else "beyond the budget")
        blank = dict.fromkeys((*FIGURES, "parameters", "gmacs", *FACTS), "")
        return line | blank | {"profile": row.profile, "command": f"{row.command} ({because})"}
    figures = {figure: round(found["figures"][output][figure], 4) for figure in FIGURES}
    return line | figures | {name: found[name] for name in ("parameters", "gmacs", *FACTS)} | {"command": row.command}


def _write(table: list[dict]) -> None:
    """The table as CSV and Markdown."""
    write_csv(FOLDER / "table.csv", table)
    (FOLDER / "table.md").write_text(_markdown(table), encoding="utf-8")


def _markdown(table: list[dict]) -> str:
    shown = [name for name in table[0] if name != "command"]
    lines = [" | ".join(shown), " | ".join("---" for _ in shown)]
    for line in table:
        cells = [str(line[name]) for name in shown]
        if line["status"] == "not run":
            cells[shown.index("status")] = f"not run: `{line['command'].partition(' (')[0]}`"
        lines.append(" | ".join(cells))
    return "".join(f"| {line} |\n" for line in lines)


def _draw(every: list[Row], keys: dict[str, str], found: dict[str, dict]) -> None:
    """Losses with and without RRM, and F and MAE over T; empty where nothing was run."""
    compared = {"with RRM": keys["full"], "without RRM": keys["no_rrm"]}
    plots.losses({name: found[key]["history"] for name, key in compared.items() if key in found}, FOLDER / "loss.png")
    over_t = [found[keys[row.name]] for row in every if row.name.startswith("T") and keys[row.name] in found]
    points = [{"steps": line["steps"], **line["figures"]["fused"]} for line in over_t]
    plots.over_steps(points, "f_05", "mae", FOLDER / "steps.png")


def _measured() -> dict[str, dict]:
    try:
        return json.loads(MEASURED.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise UserError(f"{MEASURED} is damaged: delete it, and its rows are measured anew") from None


def main() -> None:
    """The command line: all rows that the budget allows, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="measure these, whatever the budget")
    named = parser.parse_args().rows
    run(lambda config: ablate(config, named))


if __name__ == "__main__":
    main()
