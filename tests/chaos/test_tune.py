"""The search for T on real processes finds the planted T; killed, it resumes and repeats no finished trial."""

import csv
import json
import re
import signal
import time
from pathlib import Path

import pytest

from tests.support.planted import BEST, PLANTED, plain_figures, plant
from tests.support.training_run import PATIENCE, Run
from tests.support.workspace import Workspace


class Search(Run):
    """The planted search, one trial after the other."""

    stage = "tune"

    def __init__(self, root: Path):
        super().__init__(root, workers=1)
        self.set(PLANTED)
        self.set({"tune": {"at_once": 1, "budget": 8, "grace": 8}})

    def await_words(self, pattern: str) -> None:
        end = time.monotonic() + 2 * PATIENCE
        while not re.search(pattern, self.said(), re.S):
            assert time.monotonic() < end and self.driver.poll() is None, self.said()[-3000:]
            time.sleep(0.05)

    def end(self) -> dict:
        assert self.driver.wait(3 * PATIENCE) == 0, self.said()[-3000:]
        return json.loads((self.root / "reports/tune/steps.json").read_text())


@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_driver_ended_amid_the_second_trial(tmp_path, how):
    with Search(tmp_path) as search:
        search.start()
        search.await_words(r"trial steps_2: F ")
        search.await_words(r"trial steps_4: begins.*step 3/8:")
        if how == "killed":
            search.kill()
        else:
            search.driver.send_signal(signal.SIGINT)
            assert search.driver.wait(PATIENCE) == 130
            assert runs(search) == {"tune": ["KILLED"], "trial": ["KILLED"] * 3}
        before = search.said()
        search.start()
        found = search.end()
        after = search.said().removeprefix(before)
        assert "trial steps_2: begins" not in after
        assert "trial steps_4: begins or goes on" in after
        assert len(re.findall(r"step 1/8:", after)) == 1  # of the third trial alone: the second went on
        assert found["steps"] == BEST
        assert [trial["status"] for trial in found["trials"]] == ["finished"] * 3
        for trial in found["trials"]:
            assert abs(trial["val_f_05"] - plain_figures(search)[trial["steps"]]) < 2e-3
        assert runs(search) == {"tune": ["FINISHED"], "trial": ["FINISHED"] * 3}
        assert not list((search.root / "runs").iterdir())


def test_finds_the_planted_best_and_train_takes_it(tmp_path):
    space = Workspace(tmp_path)
    plant(space)
    known = plain_figures(space)
    assert max(known, key=known.get) == BEST
    space.run("python", "-m", "pipelines.tune")
    found = json.loads((space.root / "reports/tune/steps.json").read_text())
    assert found["steps"] == BEST
    assert {trial["steps"]: trial["val_f_05"] for trial in found["trials"]} == pytest.approx(known, abs=2e-3)
    costs = [trial["gmacs"] for trial in found["trials"]]
    assert costs == sorted(costs)
    with (space.root / "reports/tune/trials.csv").open(newline="") as file:
        assert [line["status"] for line in csv.DictReader(file)] == ["finished"] * 3
    assert not list((space.root / "runs").iterdir())
    assert runs(space) == {"tune": ["FINISHED"], "trial": ["FINISHED"] * 3}
    space.set({"lite": {"model": {"steps": "auto"}, "train": {"steps": 2, "report_every": 2}}})
    space.run("python", "-m", "pipelines.train")
    assert json.loads((space.root / "models/r2mrf/model.json").read_text())["model"]["steps"] == BEST


def runs(space: Workspace) -> dict[str, list[str]]:
    """Return the states of the runs in MLflow, by stage; trials must be children of the one run of tune."""
    code = (
        "import json, mlflow; c = mlflow.MlflowClient('sqlite:///mlflow.db'); "
        "e = c.get_experiment_by_name('r2mrf').experiment_id; "
        "print(json.dumps([[r.info.run_id, r.info.status, r.data.tags] for r in c.search_runs([e])]))"
    )
    found = json.loads(space.run("python", "-c", code).splitlines()[-1])
    (parent,) = (run_id for run_id, _, tags in found if tags["stage"] == "tune")
    states: dict[str, list[str]] = {}
    for _, status, tags in found:
        states.setdefault(tags["stage"], []).append(status)
        assert tags.get("mlflow.parentRunId") == (parent if tags["stage"] == "trial" else None)
    return states
