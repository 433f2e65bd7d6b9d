"""The rows of the paper's sections 5.1 to 5.4: which networks are trained and compared, and how."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pipelines.training.recipe import NOT_IN_FINGERPRINT
from r2mrf.config import Config
from r2mrf.system.fingerprint import fingerprint

STEPS = (0, 1, 2, 3, 4, 6, 8)  # values of T
BACKBONES = {"vgg16": "vgg16.tv_in1k", "densenet161": "densenet161.tv_in1k"}


@dataclass(frozen=True)
class AblationRow:
    """A network to train.

    Attributes:
        profile: the profile whose architecture and recipe it uses.
        model, train: values that differ from the profile's.
        repeat: 0, or the number of a repetition with other random numbers.
    """

    name: str
    what: str
    profile: str
    model: dict = field(default_factory=dict)
    train: dict = field(default_factory=dict)
    repeat: int = 0

    @property
    def needs_gpu(self) -> bool:
        """Whether the row's profile is too large for processors."""
        return self.profile == "paper"

    @property
    def base(self) -> str:
        """The name of the row that this one repeats, or its own name if it repeats none."""
        return self.name.partition(".")[0]

    @property
    def command(self) -> str:
        """The command that trains and measures this row, whatever the budget."""
        return f"python -m pipelines.ablate {self.name}"

    def config(self, config: Config) -> Config:
        """Return the parameters of the training, from the backbone's ImageNet weights and on data/augmented alone.

        The number of steps is `ablate.steps`; rows of the profile paper take that of the profile.
        """
        train = {"start": "", "mix": (), "repeat": self.repeat, "validation": config.ablate.validation} | self.train
        if self.profile == "lite":
            train["steps"] = config.ablate.steps
        return config.model_copy(update={"profile": self.profile}).but(self.model, train)

    def key(self, config: Config, data: str) -> str:
        """Return the fingerprint of data and parameters; it does not depend on the machine or on the code's version."""
        ours = self.config(config)
        recipe = ours.train.model_dump(exclude=NOT_IN_FINGERPRINT)
        return fingerprint(ours.seed, ours.model.model_dump(), recipe, data)


def rows(config: Config) -> list[AblationRow]:
    """Return all rows, the most informative ones first. If two rows describe the same network, it is trained once."""
    own = config.profile
    weight, model = config.train.side_weight, config.model
    first = [
        AblationRow("full", "the network as it is", own),
        AblationRow("no_rrm", "side maps refined directly, without residual learning", own, {"rrm": False}),
        *(_of_steps(own, steps) for steps in (0, 1)),
    ]
    return [
        *first,
        *_repeated(first, 1),
        *(_of_steps(own, steps) for steps in STEPS if steps > 1),
        AblationRow(
            "side_growing",
            "side outputs get heavier: each step weighs twice as much as the one before",
            own,
            {},
            {"side_growth": 2.0},
        ),
        AblationRow("side_small", "side outputs weigh a tenth as much", own, {}, {"side_weight": weight / 10}),
        AblationRow("side_last", "nearly all weight on the last step's side outputs", own, {}, {"side_growth": 100.0}),
        AblationRow("unshared", "every step has its own refinement module", own, {"share_steps": False}),
        AblationRow("wide", "refinement modules twice as wide", own, {"width": 2 * model.width}),
        AblationRow("wide_amdf", "twice as many aggregated features", own, {"amdf_width": 2 * model.amdf_width}),
        AblationRow("fine", "maps refined at half of the input's side", own, {"grid_stride": 2}),
        AblationRow("robust", "pixels whose masks contradict the rest count less", own, {}, {"robustness": 0.7}),
        *_repeated(first, 2),
        AblationRow("lite", "backbone EfficientNet-Lite0, profile lite", "lite"),
        *(_of_lite(size) for size in (1, 2)),
        *(
            AblationRow(name, f"backbone {name}, profile paper", "paper", {"backbone": backbone})
            for name, backbone in BACKBONES.items()
        ),
        AblationRow("resnext101", "backbone ResNeXt-101 32×4d, profile paper", "paper"),
    ]


def _of_steps(profile: str, steps: int) -> AblationRow:
    return AblationRow(f"T{steps}", f"{steps} recurrent step{'s' * (steps != 1)}", profile, {"steps": steps})


def _of_lite(size: int) -> AblationRow:
    what = f"backbone EfficientNet-Lite{size}, profile lite"
    return AblationRow(f"lite{size}", what, "lite", {"backbone": f"tf_efficientnet_lite{size}"})


def _repeated(rows: list[AblationRow], repeat: int) -> Iterator[AblationRow]:
    for row in rows:
        yield replace(row, name=f"{row.name}.{repeat}", what=f"{row.what}; run {repeat + 1}", repeat=repeat)
