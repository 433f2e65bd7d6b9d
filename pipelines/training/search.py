"""The trials of `tune`: Ray Tune over T, where each trial is a Ray Train run."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection
from pathlib import Path

from ray import tune as ray_tune
from ray.tune import FailureConfig, RunConfig, TuneConfig, Tuner
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from pipelines.registry import runs as tracking
from pipelines.training.run import training_run
from pipelines.training.states import States, local_state
from r2mrf.config import Config
from r2mrf.errors import UserError
from r2mrf.training.trainer import FACTS, facts_from_text

SEARCHED = ("steps", "width", "grid_stride", "share_steps")  # keys of `model`
COARSE = "val_f_05_coarse"


def candidates(config: Config) -> dict[str, dict]:
    """Return name -> values of `model` to try: every T, combined with the profile's own and the listed other values."""
    choices: list[Collection] = [config.tune.steps]
    for name in SEARCHED[1:]:
        choices.append({getattr(config.model, name), *getattr(config.tune, name)})
    several = [name for name, values in zip(SEARCHED, choices, strict=True) if len(values) > 1 or name == "steps"]
    found = {}
    for combination in itertools.product(*(sorted(set(values)) for values in choices)):
        values = dict(zip(SEARCHED, combination, strict=True))
        found["-".join(f"{name}_{values[name]}" for name in several)] = values
    return found


def trial_config(config: Config, values: dict) -> Config:
    """Return a trial's parameters: its values of `model`, the small budget of `tune`, and the backbone's weights."""
    options = config.tune
    budget = {
        "steps": options.budget,
        "crop": options.crop,
        "report_every": options.report_every,
        "start": "",
        "mix": (),
    }
    return config.but(model=values, train=budget | {"validation": options.validation})


def run_trials(config: Config, trials: dict, home: States, runs: dict[str, str]) -> dict[str, dict]:
    """Run all trials, or the rest of them; return each one's last figures, and `error` if it ended with one."""
    given = {"config": config.model_dump(), "trials": trials, "runs": runs, "home": home.name, "here": str(Path.cwd())}
    # A trial itself only waits for its workers, which claim the processors.
    trainable = ray_tune.with_resources(ray_tune.with_parameters(trial, given=given), {"cpu": 0.01})
    folder = f"{home.root}/{home.name}"
    if Tuner.can_restore(folder, storage_filesystem=home.files):
        tuner = Tuner.restore(
            folder, trainable, resume_unfinished=True, resume_errored=True, storage_filesystem=home.files
        )
    else:
        tuner = Tuner(
            trainable,
            param_space={"name": ray_tune.grid_search(list(trials))},
            tune_config=TuneConfig(
                metric=COARSE, mode="max", scheduler=scheduler(config), max_concurrent_trials=config.tune.at_once
            ),
            run_config=RunConfig(
                name=home.name,
                storage_path=home.root,
                storage_filesystem=home.files,
                failure_config=FailureConfig(
                    max_failures=config.train.max_failures
                ),  # for failures of a trial's machine
                verbose=0,
            ),
        )
    try:
        results = tuner.fit()
    except SystemExit:  # Ray's response to Ctrl-C
        raise KeyboardInterrupt from None
    return {end.config["name"]: (end.metrics or {}) | {"error": end.error} for end in results}


def scheduler(config: Config) -> TrialScheduler:
    """Return ASHA without a rung at the last step, because a trial that gets there is finished."""
    if config.tune.grace >= config.tune.budget:
        return FIFOScheduler()
    return ASHAScheduler(
        time_attr="step",
        grace_period=config.tune.grace,
        max_t=config.tune.budget - 1,
        reduction_factor=config.tune.reduction,
        stop_last_trials=False,
    )


class Report(TuneReportCallback):
    """Passes figures on to Tune, with F rounded to the tolerance: ASHA then sees most equally good trials as equal."""

    def __init__(self, tolerance: float):
        super().__init__()
        self.tolerance = tolerance

    def after_report(self, run_context, metrics: list[dict], checkpoint) -> None:
        """Pass on one report; Ray Train prescribes the method's name. `metrics` has one entry per worker, all equal."""
        super().after_report(run_context, [coarsened(metrics[0], self.tolerance)], None)


def coarsened(figures: dict, tolerance: float) -> dict:
    """Return the figures with an additional F that is rounded to the tolerance."""
    return figures | {COARSE: round(figures["val_f_05"] / tolerance) * tolerance}


def trial(chosen: dict, given: dict) -> None:
    """Run one trial in an actor of Tune: train, and report like a training."""
    if Path(given["here"]).is_dir():  # Tune has changed to a folder of the trial
        os.chdir(given["here"])
    name, config = chosen["name"], Config.model_validate(given["config"])
    values, key = given["trials"][name]
    tolerance = config.tune.tolerance
    states = trial_states(States(config.tracking.states, given["home"]), name)
    callbacks = [tracking.LogReports(config.tracking, given["runs"][name]), Report(tolerance)]
    print(f"trial {name}: begins or goes on", flush=True)
    result = training_run(trial_config(config, values), key, states, callbacks).fit()
    if stopped := (result.return_value or {}).get("not_finite"):
        raise UserError(stopped)
    with local_state(result.checkpoint.path, result.checkpoint.filesystem) as folder:
        last = facts_from_text((folder / FACTS).read_bytes())["history"][-1]
    # reported again: a trial that was killed after its last step has nothing left to report, and Tune may not know it
    ray_tune.report(coarsened(last, tolerance))
    print(f"trial {name}: F {last['val_f_05']:.3f}, MAE {last['val_mae']:.3f}", flush=True)


def trial_states(home: States, name: str) -> States:
    """Return the states of one trial."""
    return States(home.storage, f"{home.name}-{name}")
