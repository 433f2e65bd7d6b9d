"""Stage train: data-parallel training with Ray Train.

    python -m pipelines.train          # data/augmented -> models/r2mrf, reports/train

It can be stopped at any moment; started again, it resumes from the last checkpoint and ends with the same weights as an
undisturbed run. The run's name is the fingerprint of data, parameters and code, so the state of another run is never
used.
"""

from __future__ import annotations

from pipelines.project import plots
from pipelines.project.folders import MODEL, REPORTS, with_tuned_steps
from pipelines.project.stage import main
from pipelines.project.tables import write_csv, write_json
from pipelines.storage.outputs import is_in, local_copy, output_folder
from pipelines.training import tables
from pipelines.training.run import device_of, fit, recipe_of, run_key, seconds_of, with_resolved_precision
from pipelines.training.states import States
from r2mrf.config import Config
from r2mrf.errors import UserError
from r2mrf.network import checkpoint

CURVES = REPORTS / "train"


def train(config: Config) -> None:
    """Train to the end, or resume; leave the model and its curves, and remove the states.

    With a storage, the states stay until the same training is started again: the receipt of the model is uploaded after
    the stage, and a kill in between must not lose the training.
    """
    config = with_resolved_precision(with_tuned_steps(config))
    tables.read(config, tables.folders(config), ("source_id", "variant"))  # finds errors before Ray starts
    data = tables.fingerprints(config)
    recipe = recipe_of(config, data)
    key = run_key(config, data, recipe)
    states = States(config.tracking.states, f"train-{key[:16]}")
    if _is_done(config, key):
        print(f"{MODEL}: trained already, from the same data, parameters and code")
        states.remove()
        return
    for other in states.others():
        where = f"{config.tracking.states}/{other}"
        print(f"{where}: state of a run with other data, parameters or code: not used; may be deleted unless resumed")
    if not config.storage:
        checkpoint.check_free(MODEL)
    trainer = fit(config, key, states)
    facts: dict = {"profile": config.profile, "source": config.data.source, "data": data[0], "fingerprint": key}
    facts |= {"seed": config.seed, "steps": trainer.step, "workers": config.train.workers, "recipe": recipe}
    _report(trainer.history, config.train.batch)
    with output_folder(MODEL, config.storage) as target:  # written last: an existing model means that the run is done
        checkpoint.save(target, trainer.checkpoint(facts))
    if not config.storage:
        states.remove()
    print(f"{MODEL}: {checkpoint.load(local_copy(MODEL)).name} after {trainer.step} steps")


def _is_done(config: Config, key: str) -> bool:
    """Return whether the existing model is the one that this run would make, and is where it would put it."""
    try:
        there = is_in(MODEL, config.storage)
        return there and checkpoint.load(local_copy(MODEL)).training.get("fingerprint") == key
    except UserError:
        return False


def _report(history: list[dict], batch: int) -> None:
    """Write the curves for `dvc plots show`, a picture of them, and the final figures."""
    write_csv(CURVES / "history.csv", history)
    plots.training_curves(history, CURVES / "history.png")
    trained = {"seconds": round(seconds_of(history, batch)), "device": device_of(0)}
    write_json(CURVES / "metrics.json", history[-1] | trained)


if __name__ == "__main__":
    main(train, uses_ray=True)
