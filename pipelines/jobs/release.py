"""Job release: turns trained models into the weights that ship with the package.

    python -m pipelines.jobs.release MODEL … [--shift LOGITS]    # -> r2mrf/weights/lite
    python -m pipelines.jobs.release                             # only write their graph again, after a code change

If several models are given, each of which was trained further from the one before, their weights are averaged (Wortsman
et al. 2022, "Model soups"). The average may see more than the best of them, and costs nothing in use.

The maps are calibrated in the last layer. First a shift is added to its logits, because rendered scenes contain more
defocus than photographs; whoever releases chooses it on real photos (docs/training.md). Then the logits are multiplied
by the one of `FACTORS` that gives the smallest MAE on the pairs held back by the last model's training; if it held back
none, `--like` names a calibrated model whose factor is used. Test pairs are never used to choose.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from pipelines.evaluation.held_out import decoded
from pipelines.project.folders import AUGMENTED
from pipelines.project.stage import as_program
from r2mrf.data import shards
from r2mrf.data.batches import split
from r2mrf.engines.onnx_graph import without_weights
from r2mrf.errors import UserError
from r2mrf.evaluation.metrics import count
from r2mrf.imaging.maps import to_uint8
from r2mrf.network import checkpoint, model_folder
from r2mrf.network.checkpoint import Checkpoint
from r2mrf.network.model_folder import FACTS, RELEASED, WEIGHTS
from r2mrf.prediction.predictor import Predictor
from r2mrf.prediction.without_torch import GRAPH
from r2mrf.system.atomic import atomic_file

FACTORS = (1.0, 1.25, 1.5, 1.75, 2.0)  # larger ones would remove the maps' greys, on which PR curves depend
LARGEST = 15 * 2**20  # bytes of weights that may be shipped


def release(models: list[Path], shift: float = 0.0, to: Path | None = None, like: Path | None = None) -> Path:
    """Write the mean of the models as the released weights, with `shift` added to their logits; return their folder.

    If `to` is given, the model is written there, as the start of a later training, and nothing is released. If `like`
    is given, the logits are multiplied by the same factor as those of that calibrated model.

    Raises:
        UserError: a model or the calibration pairs are missing, the architectures differ, or the weights are too large.
    """
    trained, model = _mean(models), models[-1]
    weight, bias = trained.network.fusion.parameters()
    with torch.no_grad():
        bias.add_(shift)
        factor = _factor_of(like) if like else _best_factor(trained, model.parents[1])
        weight.mul_(factor)
        bias.mul_(factor)
    facts = trained.training | {"logits_shifted": shift, "logits_times": factor}
    calibrated = Checkpoint(trained.network, trained.model, trained.preprocess, facts)
    if to:
        return checkpoint.save(to, calibrated)
    folder = RELEASED / "lite"
    with tempfile.TemporaryDirectory() as scratch:
        made = checkpoint.save(Path(scratch) / "model", calibrated)
        if (size := (made / WEIGHTS).stat().st_size) > LARGEST:
            raise UserError(
                f"{model}: {size / 2**20:.0f} MB are too large to ship; the limit is {LARGEST / 2**20:.0f} MB"
            )
        for name in (WEIGHTS, FACTS):  # the model card beside them is written by hand
            with atomic_file(folder / name) as file:
                file.write_bytes((made / name).read_bytes())
    return folder


def _mean(models: list[Path]) -> Checkpoint:
    """Return the last model, with the mean of all models' weights."""
    loaded = [checkpoint.load(model) for model in models]
    last = loaded[-1]
    for path, other in zip(models, loaded, strict=True):
        if (other.model, other.preprocess) != (last.model, last.preprocess):
            raise UserError(
                f"{path}: its architecture differs from that of {models[-1]}; only the same one can be averaged"
            )
    if len(loaded) == 1:
        return last
    others = [dict(other.network.named_parameters()) for other in loaded]
    with torch.no_grad():
        for name, parameter in last.network.named_parameters():
            parameter.copy_(torch.stack([other[name] for other in others]).mean(0))
    facts = last.training | {"mean_of": [other.sha256 for other in loaded]}
    return Checkpoint(last.network, last.model, last.preprocess, facts)


def write_graph(folder: Path) -> None:
    """Write the graph of the weights in a model folder next to them, replacing an older one.

    Raises:
        UserError: there is no such model, or its graph cannot be written.
    """
    weights = model_folder.read(folder)[WEIGHTS]
    with atomic_file(folder / GRAPH) as file:
        file.write_bytes(without_weights(checkpoint.load(folder).network, weights, beside=WEIGHTS))


def _best_factor(trained: Checkpoint, workspace: Path) -> float:
    """Return the factor in `FACTORS` with the smallest MAE on the pairs that the training in `workspace` held back."""
    predictor, errors = Predictor(trained), []
    for rgb, mask in decoded(_held_back(trained, workspace)):
        p = predictor(rgb)
        logits = np.log(p.clip(1e-6, 1 - 1e-6) / (1 - p).clip(1e-6, 1))
        maps = (to_uint8(1 / (1 + np.exp(-factor * logits))) for factor in FACTORS)
        errors.append([count(defocus, mask).absolute_error for defocus in maps])
    return FACTORS[int(np.argmin(np.mean(errors, axis=0)))]


def _factor_of(model: Path) -> float:
    """Return the factor by which the logits of a calibrated model were multiplied."""
    factor = checkpoint.load(model).training.get("logits_times")
    if not isinstance(factor, float):
        raise UserError(f"{model}: this model was not calibrated: make one with --to, and give that")
    return factor


def _held_back(trained: Checkpoint, workspace: Path) -> pa.Table:
    facts = trained.training
    if not (number := facts.get("recipe", {}).get("validation", 0)):
        raise UserError(
            f"{workspace}: its training held back no pairs to calibrate on: set train.validation, or use --like"
        )
    table = shards.read(workspace / AUGMENTED, columns=["source_id", "variant", "image", "mask"])
    return split(table, number, facts["seed"])[1]


def main() -> None:
    """Run the job from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "models",
        type=Path,
        nargs="*",
        metavar="MODEL",
        help="folder models/r2mrf of the workspace where it was trained",
    )
    parser.add_argument(
        "--shift", type=float, default=0.0, metavar="LOGITS", help="below 0: fewer pixels are defocused"
    )
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="write the model there, and release nothing")
    parser.add_argument("--like", type=Path, metavar="CALIBRATED", help="use the factor of this calibrated model")
    options = parser.parse_args()
    for name in ("to", "shift", "like"):
        if getattr(options, name) and not options.models:
            parser.error(f"--{name} needs a MODEL")
    with as_program():
        released = options.models and release(options.models, options.shift, options.to, options.like)
        if not options.to:
            write_graph(folder := released or RELEASED / "lite")
    if options.to:
        print(f"{options.to}: {checkpoint.load(options.to).name}")
        return
    print(f"{folder / GRAPH}: the graph of {checkpoint.load(folder).name}")
    if options.models:
        print(f"{folder}: what belonged to the former weights is gone or no longer true. Make it again:")
        print("    python -m pipelines.jobs.blur_scale --photos FOLDER   # the radius of blur that they just notice")
        print("    r2mrf export --model r2mrf/weights/lite --precision int8 --calibrate PHOTOS")
        print("    the figures in README.md, the model card")


if __name__ == "__main__":
    main()
