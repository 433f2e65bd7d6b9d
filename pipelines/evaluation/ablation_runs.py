"""Trains a row of the ablation, and measures it on the held-back pairs and, once, on the test pairs."""

from __future__ import annotations

from pathlib import Path

from pipelines.evaluation.ablation_rows import AblationRow
from pipelines.evaluation.held_out import branch_counts, name_of
from pipelines.evaluation.measured_rows import keep, measured, training_images
from pipelines.project.folders import PREPARED
from pipelines.registry.provenance import provenance
from pipelines.storage.outputs import local_copy
from pipelines.training import single_process, tables
from pipelines.training.run import device_of, fit, recipe_of, run_key, seconds_of, with_resolved_precision
from pipelines.training.states import States
from r2mrf.config import Config
from r2mrf.data import shards
from r2mrf.network import checkpoint
from r2mrf.network.cost import cost_of
from r2mrf.training.trainer import Trainer

MODELS = Path("models/ablate")  # models of rows, kept until they are measured on the test pairs


def model_of(name: str, key: str) -> Path:
    """Return the folder of a row's trained model."""
    return MODELS / f"{name}-{key[:8]}"


def train_and_measure(row: AblationRow, config: Config, key: str, threads: int) -> None:
    """Train a row's network, or resume its training, measure it on the pairs that were held back, and keep the figures.

    Args:
        threads: number of torch threads to train with in this process; 0: train on the cluster with Ray.

    Raises:
        UserError: it cannot be trained here, or another process is training it.
    """
    ours = with_resolved_precision(row.config(config))
    print(f"{row.name}: {row.what}; {ours.train.steps} steps of {ours.train.batch}", flush=True)
    data = tables.fingerprints(ours)
    run = run_key(ours, data, recipe_of(ours, data))
    states = States(config.tracking.states, f"ablate-{run[:16]}")
    trainer = _trained_here(ours, run, key, threads) if threads else fit(ours, run, states, "ablate")
    images = training_images()
    facts = {"row": row.name, "seed": ours.seed, "recipe": ours.train.model_dump(mode="json")}
    model = trainer.checkpoint(facts)
    checkpoint.save(model_of(row.name, key), model)
    held_back = tables.read(ours, tables.folders(ours)).held_back
    figures = {name: counts.summary() for name, counts in branch_counts(model, held_back).items()}
    parameters, macs = cost_of(ours.model)
    found = {
        "row": row.name,
        "commit": provenance()["git_commit"],
        "data": name_of(images),
        "seed": ours.seed,
        "model": ours.model.model_dump(mode="json"),
        "recipe": ours.train.model_dump(mode="json"),
        "profile": row.profile,
        "backbone": ours.model.backbone,
        "steps": ours.model.steps,
        "learnt_from": f"{ours.data.source}, {images.num_rows} training images without {held_back.num_rows} pairs",
        "training_steps": ours.train.steps,
        "epochs": round(ours.train.steps * ours.train.batch / images.num_rows, 3),
        "seconds": round(seconds_of(trainer.history, ours.train.batch), 1),
        "device": device_of(threads),
        "parameters": parameters,
        "gmacs": round(macs / 1e9, 4),
        "figures": figures,
        "test": {},
        "history": trainer.history,
    }
    keep({key: found})
    states.remove()  # not earlier: a run that is killed here would be trained anew


def measure_on_test_pairs(key: str, name: str) -> tuple[str, dict]:
    """Measure a row's stored model on the test pairs; return the name of the test set, and the figures.

    Raises:
        UserError: the model is not stored on this machine.
    """
    pairs = shards.read(local_copy(PREPARED), "test-*.parquet", columns=["image", "mask", "sha256"])
    counts = branch_counts(checkpoint.load(model_of(name, key)), pairs)
    return name_of(pairs), {name: count.summary() for name, count in counts.items()}


def _trained_here(ours: Config, run: str, key: str, threads: int) -> Trainer:
    folder = Path("runs") / f"ablate-{key[:16]}"
    with single_process.locked(folder):
        if key in measured():
            raise single_process.BusyError(f"{folder}: another process has just measured this row")
        return single_process.train(ours, run, folder, threads)
