"""The search for the number of recurrent steps: what it tries, stops and chooses, and which stages use the choice."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from pipelines import tune
from pipelines.project import folders
from pipelines.training.search import candidates, coarsened, scheduler, trial_config
from pipelines.tune import choose
from r2mrf.config import Config, load
from r2mrf.errors import UserError

PARAMS = Path(__file__).parents[2] / "params.yaml"
KEEP, STOP = TrialScheduler.CONTINUE, TrialScheduler.STOP


def config(**tune) -> Config:
    given = load(PARAMS)
    return Config.model_validate(given.model_dump() | {"tune": given.tune.model_dump() | tune})


def row(steps: int, f: float | None, status: str = "finished") -> dict:
    return {"trial": f"steps_{steps}", "steps": steps, "val_f_05": f, "val_mae": 0.1, "status": status}


@pytest.mark.parametrize(
    ("figures", "tolerance", "chosen"),
    [
        ({1: 0.70, 2: 0.80, 4: 0.90, 8: 0.85}, 0.01, 4),  # the best
        ({1: 0.70, 2: 0.80, 4: 0.90, 8: 0.90}, 0.01, 4),  # a tie: the smaller
        ({8: 0.90, 4: 0.90, 2: 0.90}, 0.01, 2),  # in whatever order they ended
        ({1: 0.70, 2: 0.895, 4: 0.90}, 0.005, 2),  # within the tolerance, exactly
        ({1: 0.70, 2: 0.894, 4: 0.90}, 0.005, 4),  # and beyond it
        ({1: 0.70, 2: 0.80, 4: 0.90}, 1.0, 1),
    ],
)
def test_the_smallest_within_the_tolerance(figures, tolerance, chosen):
    assert choose([row(steps, f) for steps, f in figures.items()], tolerance)["steps"] == chosen


def test_only_what_trained_to_the_end_is_chosen():
    rows = [row(1, 0.9, "stopped"), row(2, None, "failed: loss not finite"), row(4, 0.6)]
    assert choose(rows, 0.01)["steps"] == 4
    with pytest.raises(UserError, match=r"no trial trained to the end: steps_1 stopped; steps_2 failed: loss"):
        choose(rows[:2], 0.01)


def test_every_number_of_steps_is_tried():
    found = candidates(config(steps=[3, 1, 1]))
    assert list(found) == ["steps_1", "steps_3"]
    assert found["steps_3"] == {"steps": 3, "width": 8, "grid_stride": 4, "share_steps": True}


def test_other_values_are_tried_beside_the_profiles_own():
    found = candidates(config(steps=[1, 2], width=[16], share_steps=[False]))
    assert len(found) == 2 * 2 * 2
    assert found["steps_1-width_8-share_steps_True"]["width"] == load(PARAMS).model.width
    assert found["steps_2-width_16-share_steps_False"]["grid_stride"] == 4


def test_a_trial_is_the_profile_with_its_values_and_the_budget():
    given = config(steps=[2], budget=7, crop=64, validation=3, report_every=2, grace=7)
    trial = trial_config(given, candidates(given)["steps_2"])
    assert trial.model == given.model.model_copy(update={"steps": 2})
    assert (trial.train.steps, trial.train.crop, trial.train.validation, trial.train.report_every) == (7, 64, 3, 2)
    assert (trial.train.lr, trial.train.batch) == (given.train.lr, given.train.batch)


def asha(reports: list[tuple[str, int, float]], **tune) -> list[str]:
    """Return the scheduler's answers to reports (trial, step, F), in this order."""
    given = config(**tune)
    asha = scheduler(given)
    asha.set_search_properties("val_f_05_coarse", "max")
    for name in dict.fromkeys(name for name, _, _ in reports):
        asha.on_trial_add(None, SimpleNamespace(trial_id=name))
    return [
        asha.on_trial_result(
            None, SimpleNamespace(trial_id=name), coarsened({"step": step, "val_f_05": f}, given.tune.tolerance)
        )
        for name, step, f in reports
    ]


def test_trials_that_are_clearly_worse_are_stopped():
    reports = [("a", 10, 0.8), ("b", 10, 0.5), ("c", 10, 0.9), ("a", 40, 0.9)]
    assert asha(reports, budget=40, grace=10) == [KEEP, STOP, KEEP, KEEP]


def test_trials_that_the_rule_calls_equal_are_not_stopped():
    reports = [(str(i), 10, f) for i, f in enumerate((0.801, 0.8, 0.799, 0.802, 0.798))]
    assert asha(reports, budget=40, grace=10, tolerance=0.01) == [KEEP] * 5


def test_nobody_is_stopped_at_the_end():
    # for what is stopped, and whose place in the cluster is only freed by and by, would have been done
    assert asha([("a", 20, 0.9), ("b", 20, 0.5)], budget=20, grace=10)[0] == KEEP
    assert asha([("a", 10, 0.9), ("a", 20, 0.9), ("b", 10, 0.95), ("b", 20, 0.1)], budget=20, grace=10) == [KEEP] * 4


def test_without_a_shorter_grace_there_is_no_early_stopping():
    assert isinstance(scheduler(config(budget=20, grace=20)), FIFOScheduler)


def test_what_became_of_each_trial_is_written_down(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = config(steps=[1, 2, 3], budget=20, grace=20)
    reported = {"val_f_05": 0.5, "val_mae": 0.2, "loss": 1.5, "images_per_second": 9.0, "error": None}
    ends = {
        "steps_1": reported | {"step": 20},
        "steps_2": reported | {"step": 10},
        "steps_3": {"error": RuntimeError("loss not finite\nat step 3")},
    }
    every = candidates(given)
    rows = [tune.row(given, name, every[name], end) for name, end in ends.items()]
    assert [entry["status"] for entry in rows] == ["finished", "stopped", "failed: loss not finite at step 3"]
    assert rows[0]["gmacs"] < rows[1]["gmacs"] < rows[2]["gmacs"]
    tune.report(rows, choose(rows, 0.01), {"tolerance": 0.01})
    found = json.loads(Path("reports/tune/steps.json").read_text())
    assert (found["steps"], found["trials"]) == (1, rows)
    with Path("reports/tune/trials.csv").open(newline="") as file:
        assert [line["trained_steps"] for line in csv.DictReader(file)] == ["20", "10", "0"]
    assert Path("reports/tune/trials.png").stat().st_size > 5000


@pytest.fixture
def chosen(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(folders, "CHOSEN_STEPS", tmp_path / "steps.json")
    return tmp_path / "steps.json"


def test_auto_is_what_was_chosen(chosen):
    auto = load(PARAMS).but(model={"steps": "auto"})
    chosen.write_text(json.dumps({"steps": 3}))
    assert folders.with_tuned_steps(auto) == load(PARAMS).but(model={"steps": 3})


def test_a_number_is_taken_as_it_is(chosen):
    chosen.write_text(json.dumps({"steps": 3}))
    assert folders.with_tuned_steps(load(PARAMS)) == load(PARAMS)


@pytest.mark.parametrize("content", [None, "{", "{}"])
def test_auto_without_a_choice_says_what_to_do(chosen, content):
    if content is not None:
        chosen.write_text(content)
    with pytest.raises(UserError, match=r"lite\.model\.steps is auto, .* run `dvc repro tune`, or set a number"):
        folders.with_tuned_steps(load(PARAMS).but(model={"steps": "auto"}))
