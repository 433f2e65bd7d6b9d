"""docs/results.md: every figure in it comes from a file, and a missing one is named with its command."""

import csv
import json
from pathlib import Path

import pytest

from pipelines.evaluation.ablation_rows import STEPS, rows
from pipelines.jobs.results import against, over_steps, results
from r2mrf.config import load

ROOT = Path(__file__).parents[2]
HOW = {"profile": "lite", "learnt_from": "synthetic, 9664 training images", "training_steps": 7, "epochs": 0.25}
HOW |= {"seconds": 12.5, "device": "2 cores", "parameters": 3072640, "gmacs": 2.07, "status": "measured"}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/published.yaml").write_text((ROOT / "docs/published.yaml").read_text())
    return tmp_path


def page() -> str:
    results(load(ROOT / "params.yaml"))
    return Path("docs/results.md").read_text()


def save(name: str, lines: list[dict]) -> None:
    path = Path("reports") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, lines[0].keys())
        table.writeheader()
        table.writerows(lines)


def measured(name: str, f: float) -> dict:
    test = dict.fromkeys(("test_mae", "test_f_05", "test_iou"), "")
    return (
        {"row": name, "what": f"row {name}", "mae": 0.1, "f_max": f, "f_05": f, "iou": f, "command": "…"} | test | HOW
    )


def line(name: str, f: float | None) -> dict:
    if f is not None:
        return measured(name, f)
    blank = dict.fromkeys(measured(name, 0), "")
    command = f"python -m pipelines.ablate {name} (beyond the budget)"
    return blank | {"row": name, "what": f"row {name}", "status": "not run", "command": command}


def ablation(**f: float | None) -> None:
    names = [row.name for row in rows(load(ROOT / "params.yaml"))] + [f"O{i}" for i in range(1, 6)]
    save("ablate/table.csv", [line(name, f.get(name)) for name in names])


def section(text: str, title: str) -> str:
    return " ".join(text.partition(f"{title}\n")[2].partition("\n#")[0].split())


def test_where_nothing_was_measured_there_are_commands_and_no_figures():
    text = page()
    ablate = "dvc exp run -S ablate.minutes=240 ablate"
    for command in ("dvc repro evaluate", "dvc repro tune", ablate, "python -m pipelines.jobs.timing"):
        assert f"not run: `{command}`" in text
    assert section(text, "## Ablations") == f"not run: `{ablate}`"


def test_published_figures_stand_apart():
    text = section(page(), "## What others have published")
    assert "None of these methods was run here" in text
    assert "| HiFST | 0.223, 0.803, 0.743 |" in text
    assert "| DeFusionNET (TPAMI) | – | 0.085, 0.952, 0.889 |" in text


@pytest.mark.parametrize(("without", "verdict"), [(0.7, "agrees"), (0.9, "does not agree")])
def test_a_claim_is_judged_by_the_figures(without, verdict):
    ablation(full=0.8, no_rrm=without)
    text = section(page(), "### Residual refinement")
    assert f"This {verdict} with the measurements: `full` reaches F 0.800" in text
    assert f"`no_rrm`, F {without:.3f}" in text
    assert "7 steps = 0.25 epochs, 12.5 s on 2 cores" in page()


def test_a_claim_is_not_judged_by_half_the_figures():
    ablation(full=0.8)
    text = page()
    assert "Not all rows needed to judge this have been run" in section(text, "### Residual refinement")
    assert (
        "| no_rrm | row no_rrm | | | | | | | | | | not run: `python -m pipelines.ablate no_rrm` (beyond the budget) |"
        in text
    )


@pytest.mark.parametrize(
    ("f", "stable", "agrees"),
    [
        ([0.5, 0.6, 0.7, 0.74, 0.77, 0.80, 0.799], 6, True),
        ([0.5, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8], 1, True),  # earlier than in the paper, and still so at 6
        ([0.8] * 7, 0, False),  # steps change nothing
        ([0.5, 0.6, 0.7, 0.74, 0.77, 0.80, 0.82], 8, False),
        ([0.5, 0.6, 0.7, 0.74, 0.77, 0.82, 0.80], None, False),
    ],
)
def test_the_step_from_which_f_is_stable(f, stable, agrees):
    found = over_steps({f"T{t}": line(f"T{t}", value) for t, value in zip(STEPS, f, strict=True)})
    assert (found["stable"], found["agrees"]) == (stable, agrees)


def test_the_rule_of_tune_is_applied_to_the_rows_of_steps():
    f = dict(zip(STEPS, [0.5, 0.6, 0.7, 0.796, 0.77, 0.80, 0.799], strict=True))
    assert over_steps({f"T{t}": line(f"T{t}", value) for t, value in f.items()})["chosen"] == 3
    ablation(**{f"T{t}": value for t, value in f.items()})
    Path("reports/tune").mkdir()
    trial = {"trial": "steps_1", "val_f_05": 0.5, "val_mae": 0.2, "gmacs": 1, "parameters": 9, "status": "finished"}
    tuned = {"steps": 1, "tolerance": 0.005, "learnt_from": "cuhk", "trials": [trial | {"trained_steps": 20}]}
    Path("reports/tune/steps.json").write_text(json.dumps(tuned))
    assert "7 steps each (synthetic, 9664 training images), chooses T = 3." in page()


def test_runs_of_the_unchanged_network_count_for_its_number_of_steps():
    table = {f"T{t}": line(f"T{t}", 0.8) for t in STEPS}
    table |= {name: measured(name, f) | {"steps": "6"} for name, f in {"full": 0.85, "full.1": 0.9}.items()}
    assert over_steps(table)["best"] == pytest.approx(0.85)  # the second seed was run for no other T


def test_steps_that_were_tested_with_several_seeds_are_compared_over_the_seeds_that_they_share():
    table = {f"T{t}": line(f"T{t}", 0.8) for t in STEPS}
    for name, mae in {"T0": 0.06, "T0.1": 0.08, "T1": 0.05, "T1.1": 0.04, "T1.2": 0.9, "T2": 0.01}.items():
        table[name] = measured(name, 0.8) | {"test_mae": mae, "test_f_05": 0.9, "test_iou": 1 - mae}
    tested = [[t["steps"], t["mae"], t["iou"]] for t in over_steps(table)["tested"]]
    assert tested == [[0, pytest.approx(0.07), pytest.approx(0.93)], [1, pytest.approx(0.045), pytest.approx(0.955)]]
    table["T0"] = line("T0", 0.8)
    table["T0.3"] = measured("T0.3", 0.8) | {"test_mae": 0.07, "test_f_05": 0.9, "test_iou": 0.9}
    assert [t["mae"] for t in over_steps(table)["tested"]] == [pytest.approx(0.08), pytest.approx(0.04)]


def test_the_best_of_the_others_is_the_rival():
    table = {name: measured(name, f) for name, f in {"a": "0.7", "b": "0.6", "c": "0.65"}.items()}
    found = against(table, "a", ["b", "c"])
    assert (found["rival"]["row"], found["agrees"], found["chance"]) == ("c", True, None)
    assert against(table, "b", ["a", "c"])["agrees"] is False
    assert against(table, "a", ["b", "d"]) is None


def test_runs_of_a_row_are_judged_by_their_mean_and_spread():
    f = {"full": 0.80, "full.1": 0.84, "no_rrm": 0.81, "no_rrm.1": 0.815}
    found = against({name: measured(name, value) for name, value in f.items()}, "full", ["no_rrm"])
    assert (found["ahead"], found["pairs"]) == pytest.approx(((-0.01 + 0.025) / 2, 2))
    assert found["chance"] == pytest.approx(0.035 / 2**0.5)
    ablation(**f)
    text = page()
    assert "so the difference is within what chance explains" in section(text, "### Residual refinement")
    assert "| full | 2 | 0.1000 ± 0.0000 | 0.8200 ± 0.0283 | 0.8200 ± 0.0283 | 0 | – | – | – |" in text


def test_rows_are_compared_over_the_seeds_that_both_have():
    """The second seed is better for every row, so a row that was run on the first alone must not lose by it."""
    f = {"full": 0.80, "full.1": 0.90, "side_last": 0.81}
    found = against({name: measured(name, value) for name, value in f.items()}, "full", ["side_last"])
    assert (found["ahead"], found["agrees"], found["chance"]) == (pytest.approx(-0.01), False, None)


@pytest.mark.parametrize(("lead", "clear"), [([0.010, 0.011, 0.012], True), ([0.010, -0.011, 0.012], False)])
def test_a_difference_is_clear_if_it_hardly_varies(lead, clear):
    f = {f"full.{i}": 0.8 + 0.1 * i + lead[i] for i in range(3)} | {f"no_rrm.{i}": 0.8 + 0.1 * i for i in range(3)}
    table = {name.removesuffix(".0"): measured(name.removesuffix(".0"), value) for name, value in f.items()}
    assert against(table, "full", ["no_rrm"])["decided"] == clear


@pytest.mark.parametrize(("lead", "said"), [(0.001, "do not decide"), (0.01, "agrees"), (-0.01, "does not agree")])
def test_one_pair_of_runs_decides_only_by_a_difference_that_counts(lead, said):
    ablation(full=0.80 + lead, no_rrm=0.80)
    assert said in section(page(), "### Residual refinement")


def test_rows_without_a_common_seed_are_not_compared():
    rows = {"full": measured("full", 0.8), "no_rrm": measured("no_rrm", 0.8) | {"f_05": ""}}
    assert against(rows, "full", ["no_rrm"]) is None


def of_workspace(name: str, mae: float, f: float, iou: float, photos: int = 100) -> None:
    """Write the reports of a model that was measured on CUHK."""
    folder = Path("released") / name / "reports"
    for room in ("evaluate", "train"):
        (folder / room).mkdir(parents=True)
    figures = {"mae": mae, "f_05": f, "f_max": f, "f_adaptive": f, "iou": iou, "images": photos}
    (folder / "evaluate/metrics.json").write_text(json.dumps(figures | {"confidence_excess": 0.3}))
    model = {"model": f"lite-{name}", "parameters": 3072640, "gmacs": 2.07}
    (folder / "evaluate/model.json").write_text(json.dumps(model))
    (folder / "train/metrics.json").write_text(json.dumps({"seconds": 5400, "device": "1 processor core"}))
    (folder / "test_looks.csv").write_text(f"source,test_set,model,by\ncuhk,abc,lite-{name},evaluate\n")


def test_cuhk_comes_first_with_published_rows_and_ours_in_one_order():
    of_workspace("cuhk_all", 0.05, 0.975, 0.94)
    of_workspace("lite", 0.03, 0.98, 0.96)
    text = section(page(), "## On CUHK, the paper's photographs")
    order = [text.index(f"| {name} |") for name in ("HiFST", "BR2Net (retrained there)", "DD", "D-DFFNet")]
    assert order == sorted(order) and "DeFusionNET" not in text
    ours = (
        "which were trained on no photo of CUHK** | 0.030 | 0.980 | 0.960 | 0.980 | 0.980 | 3.07 | 2.07 | 1.5 h, 1 proc"
    )
    assert text.index(ours) > order[-1]
    assert "no photo of CUHK (`lite-lite`) is better than every published row in MAE, F and IoU" in text
    assert "alone (`lite-cuhk_all`) is better than every published row in F, but not in the other figures" in text
    assert "2 models were measured on the 100: `lite-cuhk_all` (evaluate), `lite-lite` (evaluate)" in text


def test_a_model_measured_on_other_photos_is_not_in_the_table_of_cuhk():
    of_workspace("lite", 0.03, 0.98, 0.96, photos=40)
    text = page()
    assert "**R²MRF here" not in text
    for name in ("cuhk_all", "cuhk_only", "tuned", "mixed", "lite"):
        command = f"make {name}" if name in ("mixed", "tuned") else "make cuhk"
        assert f"`released/{name}` has not been measured on these photos yet: `{command}`" in text


def test_tables_and_pictures():
    method = {"setting": "s", "f_max": 0.9, "f_adaptive": 0.8, "iou": 0.7, "photos": 100}
    method |= {"seconds_a_photo": 0.05, "megapixels_a_second": 2.0}
    save(
        "evaluate/comparison.csv",
        [
            {"method": "R²MRF", "mae": 0.1, "f_05": 0.85} | method,
            {"method": "gradient energy", "mae": 0.3, "f_05": 0.6} | method,
        ],
    )
    trial = {"trial": "steps_1", "val_f_05": 0.5, "val_mae": 0.2, "gmacs": 1.3, "parameters": 9, "status": "finished"}
    failed = trial | {"trial": "steps_2", "val_f_05": None, "val_mae": None, "status": "failed: loss not finite"}
    trials = [entry | {"trained_steps": 20} for entry in (trial, failed)]
    tuned = {"steps": 1, "tolerance": 0.005, "learnt_from": "cuhk", "trials": trials}
    Path("reports/tune").mkdir()
    Path("reports/tune/steps.json").write_text(json.dumps(tuned))
    Path("reports/tune/trials.png").write_bytes(b"a picture")
    timed = {"profile": "lite", "parameters": 3e6, "gmacs": 2, "engine": "torch", "precision": "fp32", "threads": 1}
    save("timing/table.csv", [timed | {"size": "320x320", "seconds": "0.05", "load": 0.1, "machine": "m", "note": ""}])
    text = page()
    assert "| R²MRF | 0.100 | 0.850 |" in text
    assert "for these measures, F here agrees with that" in section(
        text, "## Rendered scenes, against classical measures"
    )
    assert "| 2 | | | 1.30 | 9 | 20 | failed: loss not finite |" in " ".join(text.split())
    assert "With 20 training steps per trial this says nothing about T" in section(text, "## How many recurrent steps")
    assert "![F and MAE over the recurrent steps, trials of tune](results/trials.png)" in text
    assert Path("docs/results/trials.png").read_bytes() == b"a picture"
    assert "| lite | torch | fp32 | 1 | 320x320 | 0.05 | 3.00 | 2 | 0.1 |" in text
    assert "\n\n\n" not in text
