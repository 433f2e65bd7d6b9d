"""How much blur a network tells from none: the link between a view's map and a radius in pixels."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class BlurScale:
    """Measured by `python -m pipelines.jobs.blur_scale`, and stored in a model's model.json.

    Attributes:
        radius: of the blur disc, in pixels of the network's input, at which the network finds a texture as likely in
            focus as not.
        logits: how far from there, up or down, the logit lies at a radius half an octave larger or smaller.
        measured: False where the model's own scale has not been measured and the defaults stand in.
    """

    radius: float = 1.12
    logits: float = 10.0
    measured: bool = False

    def __post_init__(self):
        if not (0 < self.radius < 100 and 0 < self.logits < 1000):
            raise ValueError(f"no such blur scale: radius {self.radius}, logits {self.logits}")

    def to_dict(self) -> dict:
        """Return the values as they stand in a model.json."""
        return asdict(self)

    @classmethod
    def from_facts(cls, facts: dict) -> BlurScale:
        """Return the scale that a model.json holds, or the defaults. Raises ValueError or TypeError if it is none."""
        return cls(**facts.get("blur_scale", {}))


UNMEASURED = BlurScale()
