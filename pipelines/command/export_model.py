"""`r2mrf export`: exports the model for other programs, and makes its int8 form."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.command.failures import DONE
from pipelines.command.terminal import say

if TYPE_CHECKING:
    from r2mrf.network.checkpoint import Checkpoint


def export_model(options: argparse.Namespace) -> int:
    """Run `r2mrf export`: write the model for other programs.

    With int8 and without `--format`, it makes the model's int8 form and stores it in the model's folder.
    """
    from r2mrf.engines.export import export
    from r2mrf.errors import UserError
    from r2mrf.network import checkpoint, model_folder

    if options.calibrate and options.precision != "int8":
        raise UserError("--calibrate is for --precision int8")
    if options.calibrate and not options.format and options.model == "lite":
        raise UserError(
            "the int8 form is stored with the model, and would replace that of the released weights: name a model "
            "folder with --model (to replace it all the same, --model r2mrf/weights/lite), or give --format and -o"
        )
    if bool(options.format) != bool(options.out):
        raise UserError("--format and -o go together: give both")
    if not options.format and not options.calibrate:
        raise UserError("nothing to do: give --format and -o, or --precision int8 and --calibrate")
    folder = model_folder.locate(options.model)
    loaded = checkpoint.load(folder)
    if options.calibrate:
        if not options.format and ":/" in options.model:
            raise UserError(
                f"{options.model}: the registry does not keep an int8 form: make it in a model folder, and give "
                "that folder to `score`"
            )
        loaded = _calibrated(loaded, folder, options.calibrate, keep=not options.format)
    if not options.format:
        return DONE
    facts = export(loaded, options.format, options.out, options.precision)
    parity = facts["parity"]
    say(f"{options.out}: {', '.join(facts['files'])}, model.json; {facts['name']}")
    print(f"differs from torch by {parity['difference']:.1g}, {parity['over']} (allowed: {parity['tolerance']:g})")
    return DONE


def _calibrated(loaded: Checkpoint, folder: Path, photos: Path, keep: bool) -> Checkpoint:
    """Return the model with an int8 form calibrated on photos; `keep` writes the form into the model's folder."""
    from r2mrf.engines import int8

    form = int8.quantise(loaded, int8.calibration_photos(photos, loaded.preprocess))
    if keep:
        int8.store(folder, form)
        say(f"{folder}: int8.onnx, {len(form.graph) / 2**20:.1f} MB; {loaded.name}")
    print(
        f"int8: differs from fp32 by {form.difference:.2g} on average over the photos; logits are multiplied by "
        f"{form.logit_scale:.3g} and shifted by {form.logit_shift:.3g}, fitted on a third of {form.photos} photos"
    )
    return replace(loaded, int8=form.graph)
