"""A training run in this process, without Ray and MLflow, to train a network of the ablation in the background.

    trainer = train(config, key, Path("runs/ablate-0123"), threads=1)

It takes the same steps as a run with one worker. States are folders state-STEP; each one is written completely before
the previous one is removed, so a run that is stopped at any moment resumes from its last report.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

import torch

from pipelines.training import tables, worker
from r2mrf.config import Config
from r2mrf.errors import UserError
from r2mrf.system.lock import exclusive
from r2mrf.training.trainer import NotFinite, Trainer


class BusyError(UserError):
    """Another process is working on the same run."""


def locked(folder: Path) -> AbstractContextManager[None]:
    """Hold a run's folder for this process.

    Raises:
        BusyError: another process holds it.
    """
    return exclusive(folder / "lock", BusyError(f"{folder}: another process is training this run"))


def train(config: Config, key: str, folder: Path, threads: int) -> Trainer:
    """Train to the end, or resume from the newest state in `folder`; return the trainer in its final state.

    Args:
        config: configuration with a resolved precision.
        key: fingerprint of the run; states of other runs are not used.
        threads: number of torch threads; one more thread decodes batches.

    Raises:
        UserError: there are no training images, or the loss is no longer finite.
    """
    torch.set_num_threads(threads)
    worker.be_deterministic()
    data = tables.read(config, tables.folders(config))
    trainer = _begun(config, key, folder)

    def report(figures: dict[str, float]) -> None:
        trainer.history.append({"step": trainer.step, **figures})
        print(worker.progress_line(trainer), flush=True)
        _save(trainer, folder)

    try:
        worker.learn(trainer, trainer.network, data, report)
    except NotFinite as error:
        raise UserError(str(error)) from None
    return trainer


def _begun(config: Config, key: str, folder: Path) -> Trainer:
    """Return the run in its newest complete state, or at its start."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for state in _states(folder):
        try:
            trainer = Trainer(config, key, device, state)
        except (OSError, ValueError, KeyError) as error:
            print(f"{state}: not used: {' '.join(str(error).split())}")
            continue
        trainer.averaged.values = {name: value.to(trainer.device) for name, value in trainer.averaged.values.items()}
        return trainer
    return Trainer(config, key, device)


def _save(trainer: Trainer, folder: Path) -> None:
    older = _states(folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".state-") as scratch:
        new = Path(scratch) / "new"
        new.mkdir()
        trainer.save(new)
        target = folder / f"state-{trainer.step:07d}"
        if target.exists():  # damaged, or made by other code; otherwise the run would have resumed from it
            shutil.rmtree(target)
        new.rename(target)
    for state in older:
        if state != target:
            shutil.rmtree(state)


def _states(folder: Path) -> list[Path]:
    """Return the states in a folder, the newest first."""
    return sorted(folder.glob("state-*"), reverse=True)
