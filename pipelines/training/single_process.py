"""A training run in this process, without Ray and MLflow: one network of the ablation, for hours, beside other work.

    trainer = train(config, key, Path("runs/ablate-0123"), threads=1)

Its steps are those of a run of one worker. States lie in the folder as state-STEP, each written whole before the one
before is removed, so that a run that is stopped at any moment goes on from its last report.
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
    """Another process works on the same run."""


def locked(folder: Path) -> AbstractContextManager[None]:
    """Hold a run's folder for this process.

    Raises:
        BusyError: another process holds it.
    """
    return exclusive(folder / "lock", BusyError(f"{folder}: another process trains this run"))


def train(config: Config, key: str, folder: Path, threads: int) -> Trainer:
    """Train to the end, or resume from the newest state in `folder`; returns the trainer in its last state.

    Args:
        config: with a resolved precision.
        key: fingerprint of the run; states of another one are not used.
        threads: of torch; one more decodes batches.

    Raises:
        UserError: there are no training images, or the loss is not finite any more.
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
    """The run in its newest whole state, or at its start."""
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
        if target.exists():  # damaged, or of other code: else the run would have gone on from it
            shutil.rmtree(target)
        new.rename(target)
    for state in older:
        if state != target:
            shutil.rmtree(state)


def _states(folder: Path) -> list[Path]:
    """States in a folder, the newest first."""
    return sorted(folder.glob("state-*"), reverse=True)
