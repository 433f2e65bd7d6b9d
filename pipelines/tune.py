"""Stage tune: how many recurrent steps? Ray Tune over T, each trial a training run of Ray Train.

    python -m pipelines.tune           # data/augmented -> reports/tune/steps.json, trials.csv, trials.png

The smallest T is chosen whose F on the photos held back is within `tune.tolerance` of the best one's; `train` takes it
where `model.steps` is `auto`. Killed and started again, finished trials are not done again and the others go on from
their last checkpoints.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Collection
from pathlib import Path

from ray import tune as ray_tune
from ray.tune import FailureConfig, RunConfig, TuneConfig, Tuner
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from pipelines import plots, tracking
from pipelines.cluster import ROOM, connect
from pipelines.stage import AUGMENTED, CHOSEN_STEPS, fingerprint_of, main, write_csv, write_json
from pipelines.states import States
from pipelines.storage import here
from pipelines.train import run_key, settled, training_run
from r2mrf import shards
from r2mrf.config import Config
from r2mrf.cost import cost_of
from r2mrf.errors import UserError
from r2mrf.fingerprint import fingerprint
from r2mrf.samples import split
from r2mrf.trainer import FACTS

SEARCHED = ("steps", "width", "grid_stride", "share_steps")  # of `model`
FIGURES = ("val_f_05", "val_mae", "loss")
COARSE = "val_f_05_coarse"


def tune(config: Config) -> None:
    """The stage: all trials, or what is left of them; leaves the choice, its table, and no states."""
    config = settled(config)
    pairs = shards.read(here(AUGMENTED), columns=["source_id", "variant"])
    split(pairs, config.tune.validation, config.seed)  # refused here, before Ray starts
    data = fingerprint_of(AUGMENTED)
    trials = {name: (values, run_key(of_trial(config, values), data)) for name, values in candidates(config).items()}
    key = fingerprint(config.tune.model_dump(exclude={"at_once"}), trials)
    home = States(config.tracking.states, f"tune-{key[:16]}")
    parent = tracking.run_for(config, "tune", key)
    runs = {
        name: tracking.run_for(of_trial(config, values), "trial", trial_key, parent)
        for name, (values, trial_key) in trials.items()
    }
    with connect(logical_cpus=ROOM + config.train.most_workers * len(trials), training=True):
        ends = _search(config, trials, home, runs)
    rows = [row(config, name, values, ends[name]) for name, (values, _) in trials.items()]
    for entry in rows:
        tracking.finish(config.tracking, runs[entry["trial"]], {"finished": "FINISHED"}.get(entry["status"], "KILLED"))
    try:
        chosen = choose([entry for entry in rows if _is_own(config, entry)], config.tune.tolerance)
    except UserError:
        tracking.finish(config.tracking, parent, "FAILED")
        raise
    tracking.finish(config.tracking, parent, "FINISHED")
    report(rows, chosen, config.tune.tolerance)
    for name in trials:
        _trial_states(home, name).remove()
    home.remove()
    print(f"{CHOSEN_STEPS}: T = {chosen['steps']}, F {chosen['val_f_05']:.3f} on {config.tune.validation} photos")


def candidates(config: Config) -> dict[str, dict]:
    """Name -> values of `model` to try: every T, with the profile's own other values and with those that are listed."""
    choices: list[Collection] = [config.tune.steps]
    for name in SEARCHED[1:]:
        choices.append({getattr(config.model, name), *getattr(config.tune, name)})
    several = [name for name, values in zip(SEARCHED, choices, strict=True) if len(values) > 1 or name == "steps"]
    found = {}
    for combination in itertools.product(*(sorted(set(values)) for values in choices)):
        values = dict(zip(SEARCHED, combination, strict=True))
        found["-".join(f"{name}_{values[name]}" for name in several)] = values
    return found


def of_trial(config: Config, values: dict) -> Config:
    """What a trial trains: its values of `model`, the small budget of `tune`, from the backbone's weights."""
    options = config.tune
    budget = {"steps": options.budget, "crop": options.crop, "report_every": options.report_every, "start": ""}
    return config.but(model=values, train=budget | {"validation": options.validation})


def _search(config: Config, trials: dict, home: States, runs: dict[str, str]) -> dict[str, dict]:
    """Run all trials, or what is left of them; name -> last figures, with `error` if the trial ended by one."""
    given = {"config": config.model_dump(), "trials": trials, "runs": runs, "home": home.name, "here": str(Path.cwd())}
    # A trial only waits for its workers, which claim the processors.
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
                failure_config=FailureConfig(max_failures=config.train.max_failures),  # of the machine of a trial
                verbose=0,
            ),
        )
    try:
        results = tuner.fit()
    except SystemExit:  # Ray's answer to Ctrl-C
        raise KeyboardInterrupt from None
    return {end.config["name"]: (end.metrics or {}) | {"error": end.error} for end in results}


def scheduler(config: Config) -> TrialScheduler:
    """ASHA, without a rung at the last step: who gets so far is done."""
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
    """Passes figures on to Tune, with F in steps of the tolerance: ASHA shall not stop for less what we call equal."""

    def __init__(self, tolerance: float):
        super().__init__()
        self.tolerance = tolerance

    def after_report(self, run_context, metrics: list[dict], checkpoint) -> None:
        """Ray Train's name for it. `metrics`: of each worker; all are the same."""
        super().after_report(run_context, [coarsened(metrics[0], self.tolerance)], None)


def coarsened(figures: dict, tolerance: float) -> dict:
    """Figures with F in steps of the tolerance beside them."""
    return figures | {COARSE: round(figures["val_f_05"] / tolerance) * tolerance}


def trial(chosen: dict, given: dict) -> None:
    """One trial, in an actor of Tune's: train, and report as training does."""
    if Path(given["here"]).is_dir():  # Tune has gone to a folder of the trial's own
        os.chdir(given["here"])
    name, config = chosen["name"], Config.model_validate(given["config"])
    values, key = given["trials"][name]
    tolerance = config.tune.tolerance
    states = _trial_states(States(config.tracking.states, given["home"]), name)
    callbacks = [tracking.LogReports(config.tracking, given["runs"][name]), Report(tolerance)]
    print(f"trial {name}: begins or goes on", flush=True)
    result = training_run(of_trial(config, values), key, states, callbacks).fit()
    if stopped := (result.return_value or {}).get("not_finite"):
        raise UserError(stopped)
    with result.checkpoint.as_directory() as folder:
        last = json.loads((Path(folder) / FACTS).read_text(encoding="utf-8"))["history"][-1]
    # once more: a trial that was killed after its last step has nothing left to report, and Tune may not know it
    ray_tune.report(coarsened(last, tolerance))
    print(f"trial {name}: F {last['val_f_05']:.3f}, MAE {last['val_mae']:.3f}", flush=True)


def _trial_states(home: States, name: str) -> States:
    return States(home.storage, f"{home.name}-{name}")


def row(config: Config, name: str, values: dict, end: dict) -> dict:
    """A line of the table."""
    if end["error"]:
        status = f"failed: {' '.join(str(end['error']).split())[-200:]}"
    else:
        status = "finished" if end["step"] == config.tune.budget else "stopped"
    parameters, macs = cost_of(of_trial(config, values).model)
    figures = {figure: end.get(figure) for figure in FIGURES}
    trained = {"trained_steps": end.get("step", 0), "images_per_second": end.get("images_per_second")}
    cost = {"parameters": parameters, "gmacs": round(macs / 1e9, 4)}
    return {"trial": name, **values, **figures, **cost, **trained, "status": status}


def _is_own(config: Config, entry: dict) -> bool:
    """Whether nothing but T differs from the profile."""
    return all(entry[name] == getattr(config.model, name) for name in SEARCHED[1:])


def choose(rows: list[dict], tolerance: float) -> dict:
    """Of the trials that trained to the end, the smallest T whose F is within the tolerance of the best.

    Raises:
        UserError: none trained to the end.
    """
    finished = [entry for entry in rows if entry["status"] == "finished"]
    if not finished:
        raise UserError("no trial trained to the end: " + "; ".join(f"{e['trial']} {e['status']}" for e in rows))
    best = max(entry["val_f_05"] for entry in finished)
    within = [entry for entry in finished if entry["val_f_05"] >= best - tolerance - 1e-9]
    return min(within, key=lambda entry: entry["steps"])


def report(rows: list[dict], chosen: dict, tolerance: float) -> None:
    """The choice and its table; CSV for `dvc plots show`; a picture."""
    write_json(CHOSEN_STEPS, {"steps": chosen["steps"], "tolerance": tolerance, "trials": rows})
    write_csv(CHOSEN_STEPS.with_name("trials.csv"), rows)
    finished = [entry for entry in rows if entry["status"] == "finished"]
    plots.over_steps(finished, "val_f_05", "val_mae", CHOSEN_STEPS.with_name("trials.png"), chosen["steps"])


if __name__ == "__main__":
    main(tune)
