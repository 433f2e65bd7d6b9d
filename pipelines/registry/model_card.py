"""Writes the card of a registered model: its architecture, origin, figures and limitations."""

from __future__ import annotations

from r2mrf.network.checkpoint import Checkpoint

MADE_FROM = ("git_commit", "dvc_lock_sha256", "data", "weights_sha256")


def write(trained: Checkpoint, figures: dict, tags: dict[str, str]) -> str:
    """Return the card in Markdown, within the 5,000 characters that the registry's database allows.

    Args:
        tags: the version's provenance, see `MADE_FROM`.
    """
    model, training = trained.model, trained.training
    facts = {
        "network": f"{model.backbone}, {model.steps} recurrent steps, width {model.width}",
        "input": f"photos resized to {model.input_size}×{model.input_size}",
        "trained": f"{training.get('steps', '?')} steps on {training.get('source', '?')}",
        **{name.replace("_", " "): f"`{tags[name]}`" for name in MADE_FROM if tags.get(name)},
    }
    measured = {name: value for name, value in figures.items() if isinstance(value, float)}
    return f"""# {trained.name}

Gives the probability that each pixel of a photograph is out of focus (1 = defocused, white in PNG maps).

| | |
|---|---|
{_rows(facts)}

## Figures

On {figures["images"]} test pairs, of which {figures["images_without_defocus"]} have no defocus (test set
`{figures["test_set"][:12]}`); positive = out of focus, β² = 0.3.

| | |
|---|---|
{_rows({name: f"{value:.4f}" for name, value in measured.items()})}

## Limitations

Not suited for motion blur, haze and noise; for blur so slight that it vanishes at the input's size, unless a larger
`view` is asked for; for exact edges, because maps are refined at 1/{model.grid_stride} of the input's side. Smooth
surfaces in focus may be marked as defocused. Figures measured on rendered scenes say little about photographs.
"""


def _rows(values: dict[str, str]) -> str:
    return "\n".join(f"| {name} | {value} |" for name, value in values.items())
