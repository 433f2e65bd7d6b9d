"""Stage tune: finds the number of recurrent steps T with Ray Tune; each trial is a Ray Train run.

    python -m pipelines.tune           # data/augmented -> reports/tune/steps.json, trials.csv, trials.png

It chooses the smallest T whose figures on the held-back photos are within `tune.tolerance` of the best; `train` uses
this number if `model.steps` is `auto`. If it is killed and started again, finished trials are kept, and the others
resume from their last checkpoints.
"""

from __future__ import annotations

from pipelines.cluster.ray_cluster import LOGICAL_CPUS, connect
from pipelines.project import plots
from pipelines.project.folders import AUGMENTED, CHOSEN_STEPS, fingerprint_of
from pipelines.project.stage import main
from pipelines.project.tables import write_csv, write_json
from pipelines.registry import runs as tracking
from pipelines.storage.outputs import local_copy
from pipelines.training.enough_steps import Reached, enough_steps
from pipelines.training.run import recipe_of, run_key, with_resolved_precision
from pipelines.training.search import SEARCHED, candidates, run_trials, trial_config, trial_states
from pipelines.training.states import States
from r2mrf.config import Config
from r2mrf.data import shards
from r2mrf.data.batches import split
from r2mrf.errors import UserError, one_line
from r2mrf.network.cost import cost_of
from r2mrf.system.fingerprint import fingerprint

FIGURES = ("val_f_05", "val_mae", "loss")


def tune(config: Config) -> None:
    """Run all trials, or the rest of them; leave the choice and its table, and remove the states."""
    config = with_resolved_precision(config)
    pairs = shards.read(local_copy(AUGMENTED), columns=["source_id", "variant"])
    split(pairs, config.tune.validation, config.seed)  # finds errors before Ray starts
    data = [fingerprint_of(AUGMENTED)]
    trials = {name: (values, _key(trial_config(config, values), data)) for name, values in candidates(config).items()}
    key = fingerprint(config.tune.model_dump(exclude={"at_once"}), trials)
    home = States(config.tracking.states, f"tune-{key[:16]}")
    parent = tracking.run_for(config, "tune", key)
    runs = {
        name: tracking.run_for(trial_config(config, values), "trial", trial_key, parent)
        for name, (values, trial_key) in trials.items()
    }
    with (
        tracking.killed_if_interrupted(config.tracking, parent, *runs.values()),
        connect(logical_cpus=LOGICAL_CPUS + config.train.most_workers * len(trials), training=True),
    ):
        ends = run_trials(config, trials, home, runs)
    rows = [row(config, name, values, ends[name]) for name, (values, _) in trials.items()]
    for entry in rows:
        tracking.finish(config.tracking, runs[entry["trial"]], {"finished": "FINISHED"}.get(entry["status"], "KILLED"))
    try:
        chosen = choose([entry for entry in rows if _is_own(config, entry)], config.tune.tolerance)
    except UserError:
        tracking.finish(config.tracking, parent, "FAILED")
        raise
    tracking.finish(config.tracking, parent, "FINISHED")
    learnt_from = f"{config.data.source}, {pairs.num_rows} training images without {config.tune.validation} pairs"
    report(rows, chosen, {"tolerance": config.tune.tolerance, "learnt_from": learnt_from})
    for name in trials:
        trial_states(home, name).remove()
    home.remove()
    print(f"{CHOSEN_STEPS}: T = {chosen['steps']}, F {chosen['val_f_05']:.3f} on {config.tune.validation} photos")


def _key(trial: Config, data: list[str]) -> str:
    return run_key(trial, data, recipe_of(trial, data))


def row(config: Config, name: str, values: dict, end: dict) -> dict:
    """Return the trial's line of the table."""
    if end["error"]:
        status = f"failed: {one_line(end['error'], end=True)}"
    else:
        status = "finished" if end["step"] == config.tune.budget else "stopped"
    parameters, macs = cost_of(trial_config(config, values).model)
    figures = {figure: end.get(figure) for figure in FIGURES}
    trained = {"trained_steps": end.get("step", 0), "images_per_second": end.get("images_per_second")}
    cost = {"parameters": parameters, "gmacs": round(macs / 1e9, 4)}
    return {"trial": name, **values, **figures, **cost, **trained, "status": status}


def _is_own(config: Config, entry: dict) -> bool:
    """Return whether nothing but T differs from the profile."""
    return all(entry[name] == getattr(config.model, name) for name in SEARCHED[1:])


def choose(rows: list[dict], tolerance: float) -> dict:
    """Choose the trial with the smallest T that is as good as the best, among those that trained to the end.

    Raises:
        UserError: none trained to the end.
    """
    finished = {entry["steps"]: entry for entry in rows if entry["status"] == "finished"}
    if not finished:
        raise UserError("no trial trained to the end: " + "; ".join(f"{e['trial']} {e['status']}" for e in rows))
    reached = {steps: Reached(entry["val_f_05"], entry["val_mae"]) for steps, entry in finished.items()}
    return finished[enough_steps(reached, tolerance)]


def report(rows: list[dict], chosen: dict, facts: dict) -> None:
    """Write the choice with its table and facts, the table as CSV for `dvc plots show`, and a picture."""
    write_json(CHOSEN_STEPS, {"steps": chosen["steps"], **facts, "trials": rows})
    write_csv(CHOSEN_STEPS.with_name("trials.csv"), rows)
    finished = [entry for entry in rows if entry["status"] == "finished"]
    plots.over_steps(finished, "val_f_05", "val_mae", CHOSEN_STEPS.with_name("trials.png"), chosen["steps"])


if __name__ == "__main__":
    main(tune, uses_ray=True)
