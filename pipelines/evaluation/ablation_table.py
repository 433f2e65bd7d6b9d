"""Writes the table and the pictures of the measured rows of the ablation."""

from __future__ import annotations

from pathlib import Path

from pipelines.evaluation.ablation_rows import AblationRow
from pipelines.evaluation.held_out import BRANCHES, FIGURES
from pipelines.project import plots
from pipelines.project.tables import write_csv

FACTS = ("profile", "backbone", "steps", "learnt_from", "training_steps", "epochs", "seconds", "device", "commit")


def tabulate(every: list[AblationRow], measured: dict[str, dict], reasons: dict[str, str]) -> list[dict]:
    """Return the lines of the table: one per row, and one for each branch's own output of the unchanged network.

    Figures are those on the held-back pairs, and with `test_` those on the test pairs.

    Args:
        measured: the stored results by name of the row.
        reasons: by name of the row, why it could not be run.
    """
    lines = []
    for row in every:
        found = measured.get(row.name)
        lines.append(_line(row.name, row.what, row, found, "fused", reasons.get(row.name)))
        if row.name == "full":
            for branch in BRANCHES:
                what = f"output of branch {branch[1]} alone, of the same network"
                lines.append(_line(branch, what, row, found, branch, reasons.get(row.name)))
    return lines


def _line(name: str, what: str, row: AblationRow, found: dict | None, output: str, reason: str | None) -> dict:
    line = {"row": name, "what": what, "status": "measured" if found else "not run"}
    tested = [f"test_{figure}" for figure in FIGURES]
    if not found:
        because = reason or ("needs a GPU" if row.needs_gpu else "beyond the budget")
        blank = dict.fromkeys((*FIGURES, *tested, "parameters", "gmacs", *FACTS), "")
        return line | blank | {"profile": row.profile, "command": f"{row.command} ({because})"}
    figures = {figure: round(found["figures"][output][figure], 4) for figure in FIGURES}
    test = found["test"].get(output, {})
    figures |= {f"test_{figure}": round(test[figure], 4) if test else "" for figure in FIGURES}
    return line | figures | {name: found[name] for name in ("parameters", "gmacs", *FACTS)} | {"command": row.command}


def write(table: list[dict], folder: Path) -> None:
    """Write the table as CSV and Markdown."""
    write_csv(folder / "table.csv", table)
    (folder / "table.md").write_text(_markdown(table), encoding="utf-8")


def _markdown(table: list[dict]) -> str:
    shown = [name for name in table[0] if name != "command"]
    lines = [" | ".join(shown), " | ".join("---" for _ in shown)]
    for line in table:
        cells = [str(line[name]) for name in shown]
        if line["status"] == "not run":
            cells[shown.index("status")] = f"not run: `{line['command'].partition(' (')[0]}`"
        lines.append(" | ".join(cells))
    return "".join(f"| {line} |\n" for line in lines)


def draw(every: list[AblationRow], measured: dict[str, dict], folder: Path) -> None:
    """Draw the losses with and without RRM, and F and MAE over T; the pictures stay empty where nothing was run."""
    compared = {"with RRM": "full", "without RRM": "no_rrm"}
    runs = {label: measured[name]["history"] for label, name in compared.items() if name in measured}
    plots.losses(runs, folder / "loss.png")
    of_steps = [row for row in every if row.base.startswith("T") or (row.base == "full" and row.repeat)]  # T6 is full
    over_t = [measured[row.name] for row in of_steps if row.name in measured]
    points = [{"steps": line["steps"], **line["figures"]["fused"]} for line in over_t]
    plots.over_steps(points, "f_05", "mae", folder / "steps.png")
