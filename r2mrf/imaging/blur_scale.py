"""The blur radius that a network just notices; it links a view's map to a radius in pixels."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class BlurScale:
    """The scale of one model, measured by `python -m pipelines.jobs.blur_scale` and stored in its model.json.

    Attributes:
        radius: radius of the blur disc, in pixels of the network's input, at which the network's probability is 0.5.
        logits: how much the logit changes when the radius grows or shrinks by half an octave from there.
        measured: False if the model's own scale has not been measured and these are the defaults.
    """

    radius: float = 1.12
    logits: float = 10.0
    measured: bool = False

    def __post_init__(self):
        if not (0 < self.radius < 100 and 0 < self.logits < 1000):
            raise ValueError(f"not a valid blur scale: radius {self.radius}, logits {self.logits}")

    def to_dict(self) -> dict:
        """Return the values as model.json stores them."""
        return asdict(self)

    @classmethod
    def from_facts(cls, facts: dict) -> BlurScale:
        """Return the scale in a model.json, or the defaults; raises ValueError or TypeError if it is not valid."""
        return cls(**facts.get("blur_scale", {}))


UNMEASURED = BlurScale()
