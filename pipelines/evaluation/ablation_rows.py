"""The rows of the paper's sections 5.1 to 5.4: which networks are trained and compared, and how."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipelines.training.recipe import NOT_IN_FINGERPRINT
from r2mrf.config import Config
from r2mrf.system.fingerprint import fingerprint, of_code

STEPS = range(9)  # T
BACKBONES = {"vgg16": "vgg16.tv_in1k", "densenet161": "densenet161.tv_in1k"}


@dataclass(frozen=True)
class Row:
    """A network to train. `profile`: whose recipe; `model`: what is other than in it."""

    name: str
    what: str
    profile: str
    model: dict = field(default_factory=dict)

    @property
    def needs_gpu(self) -> bool:
        """Whether it is of the profile that is too much for processors."""
        return self.profile == "paper"

    @property
    def command(self) -> str:
        """Trains and measures this row, whatever the budget."""
        return f"python -m pipelines.ablate {self.name}"

    def config(self, config: Config) -> Config:
        """What is trained: from the backbone's ImageNet weights, as long as `ablate.steps` says, or as the paper."""
        train = {"start": "", "mix": ()} | ({"steps": config.ablate.steps} if self.profile == "lite" else {})
        return config.model_copy(update={"profile": self.profile}).but(self.model, train)

    def key(self, config: Config, data: list[str]) -> str:
        """Fingerprint of all that the row depends on, the same on every machine."""
        ours = self.config(config)
        recipe = ours.train.model_dump(exclude=NOT_IN_FINGERPRINT)
        return fingerprint(
            ours.seed, ours.model.model_dump(), recipe, data, of_code("training.trainer", "data.batches")
        )


def rows(config: Config) -> list[Row]:
    """All of them, those first that say most. Where two name the same network it is trained once."""
    own = config.profile
    return [
        Row("full", "the network as it is", own),
        Row("no_rrm", "side maps refined directly, without residual learning", own, {"rrm": False}),
        *(Row(f"T{steps}", f"{steps} recurrent steps", own, {"steps": steps}) for steps in STEPS),
        Row("lite", "backbone EfficientNet-Lite0, profile lite", "lite"),
        *(
            Row(name, f"backbone {name}, profile paper", "paper", {"backbone": backbone})
            for name, backbone in BACKBONES.items()
        ),
        Row("resnext101", "backbone ResNeXt-101 32×4d, profile paper", "paper"),
    ]
