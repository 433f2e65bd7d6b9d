"""Reads params.yaml into one frozen, typed `Config` and checks every value once.

    config = load("params.yaml")
    config.model.steps                      # from the chosen profile

An unknown key, a missing key or a value out of range raises an error that names the key.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from r2mrf.engine_names import EngineChoice, PrecisionChoice
from r2mrf.errors import ConfigError
from r2mrf.system import layered_yaml
from r2mrf.system.address import Address, is_address, redacted

Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
Positive = Annotated[int, Field(gt=0, le=1_000_000_000)]
Width = Annotated[int, Field(gt=0, le=4096)]  # of a layer, in channels
Side = Annotated[int, Field(ge=32, le=16_384)]  # pixels; 32 of them make one pixel at a backbone's deepest level
Rendered = Annotated[int, Field(gt=0, le=500_000)]  # test seeds start this far after the training seeds
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Steps = Annotated[int, Field(ge=0, le=16)]  # number of recurrent steps, T
SECRET = "it holds a password"  # an error message that contains this does not show the value


class Section(BaseModel):
    """A section of params.yaml, where each key is explained. Sections are frozen and accept no other keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*")
    @classmethod
    def _without_password(cls, value: object) -> object:
        """Refuse an address with a password, because params.yaml and dvc.lock are committed."""
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and is_address(text) and Address.parse(text).has_password:
                raise ValueError(f"{SECRET}: set it through environment variables (docs/serving.md)")
        return value


class Data(Section):
    """Where pairs of photo and mask come from."""

    source: Literal["synthetic", "composite", "cuhk", "dut", "ctcug", "ebd", "pairs"]
    root: str
    white: Literal["defocus", "focus"]
    size: Side
    train: Rendered
    test: Rendered
    scenes: Share
    labelled: str


class Augment(Section):
    """The variants of a training pair."""

    variants: Annotated[int, Field(gt=0, le=1000)]
    max_rotation: Annotated[float, Field(ge=0, le=45)]
    min_scale: Annotated[float, Field(ge=0.5, le=1)]


class Model(Section):
    """Architecture of the network. In docs/method.md, `steps` is called T and `width` is called M.

    model.json stores it too: a new field needs a default value under which models saved earlier stay the same.
    """

    backbone: str
    weights: str
    grid_stride: Literal[2, 4]
    amdf_width: Width
    width: Width
    steps: Literal["auto"] | Steps  # auto: replaced by the number that the stage tune chose, before a network is built
    share_steps: bool
    rrm: bool
    fusion_relu: bool
    input_size: Annotated[int, Field(ge=32, le=4096)]

    @property
    def recurrent_steps(self) -> int:
        """Return `steps` as a number.

        Raises:
            ConfigError: `steps` is still `auto`.
        """
        if self.steps == "auto":
            raise ConfigError("model.steps is auto, but a network needs a number: run `dvc repro tune`, or set one")
        return self.steps


class Mixed(Section):
    """An additional folder of training images, and the share of every batch that is drawn from it."""

    folder: Annotated[str, Field(min_length=1)]
    share: Annotated[float, Field(gt=0, lt=1)]


class Train(Section):
    """A training recipe."""

    start: str
    mix: tuple[Mixed, ...]
    repeat: Count
    workers: Positive | tuple[Positive, Positive]  # a number, or (fewest, most) where machines come and go
    steps: Positive
    batch: Annotated[int, Field(gt=0, le=65_536)]
    crop: Side
    optimizer: Literal["sgd", "adamw"]
    lr: Amount
    backbone_lr: Amount
    weight_decay: Amount
    schedule: Literal["one_cycle", "poly", "cosine"]
    warmup: Share
    side_weight: Amount
    side_growth: Annotated[float, Field(gt=0, le=100)]
    robustness: Share
    clip_norm: Amount
    ema: Annotated[float, Field(ge=0, lt=1)]
    precision: Literal["auto", "fp32", "bf16"]
    validation: Count
    report_every: Positive
    max_failures: Count

    @model_validator(mode="after")
    def _batch_splits(self) -> Train:
        if isinstance(self.workers, tuple) and self.workers[0] > self.workers[1]:
            raise ValueError(f"workers {list(self.workers)}: give the smallest number first, then the largest")
        if self.batch < self.most_workers:
            raise ValueError(f"batch {self.batch} is too small for {self.most_workers} workers: each needs a sample")
        return self

    @model_validator(mode="after")
    def _main_has_a_share(self) -> Train:
        if sum(other.share for other in self.mix) >= 1:
            raise ValueError("mix: the shares add up to 1 or more and leave no room for data/augmented: lower them")
        return self

    @property
    def most_workers(self) -> int:
        """Largest number of workers that may run at the same time."""
        return self.workers if isinstance(self.workers, int) else self.workers[1]


class Profile(Section):
    """An architecture with its recipe."""

    model: Model
    train: Train

    @model_validator(mode="after")
    def _crop_fits(self) -> Profile:
        if self.train.crop > self.model.input_size:
            raise ValueError(f"train.crop {self.train.crop} must not exceed model.input_size {self.model.input_size}")
        return self


class Tune(Section):
    """Search for the number of recurrent steps. The lists may also name values of the profile to try."""

    steps: Annotated[tuple[Steps, ...], Field(min_length=1)]
    width: tuple[Width, ...]
    grid_stride: tuple[Literal[2, 4], ...]
    share_steps: tuple[bool, ...]
    budget: Positive
    grace: Positive
    reduction: Annotated[float, Field(gt=1)]
    crop: Side
    validation: Positive
    report_every: Positive
    tolerance: Annotated[float, Field(gt=0, le=1)]
    at_once: Positive

    @model_validator(mode="after")
    def _grace_fits(self) -> Tune:
        if self.grace > self.budget:
            raise ValueError(f"grace {self.grace} must not exceed budget {self.budget}")
        return self


class Ablate(Section):
    """Ablations: training time in minutes, training steps for each row, and pairs held back to compare the rows."""

    minutes: Amount
    steps: Positive
    validation: Positive


class Evaluate(Section):
    """Settings for the gallery and for the comparison with classical baselines."""

    gallery: Positive
    baseline_pairs: Annotated[int, Field(ge=2)]


class Registry(Section):
    """The name under which models are registered, and the figures that a champion must reach."""

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    margin: Annotated[float, Field(gt=0, le=1)]
    least_f_05: Share
    most_mae: Share


class Score(Section):
    """Bulk scoring. The command line uses these defaults where there is no params.yaml."""

    source: str = "samples"
    allow: tuple[str, ...] = ()  # servers and buckets that lists may name, like https://host or s3://*
    include: tuple[str, ...] = ()  # patterns in the syntax of .gitignore: score only photos that match one
    exclude: tuple[str, ...] = ()  # and none that matches one of these
    maps: bool = False
    detail: bool = False
    by_content: bool = False
    retry: bool = False
    prune: bool = False
    watch: Annotated[float, Field(ge=0, le=86_400)] = 0  # seconds after which to look for new photos; 0: only once
    engine: EngineChoice = "auto"
    precision: PrecisionChoice = "fp32"
    batch: Positive = 8
    shard_rows: Positive = 500
    actors: Count = 0
    seconds: Annotated[float, Field(gt=0, le=3600)] = 60
    max_pixels: Annotated[int, Field(gt=0, le=178_000_000)] = 178_000_000  # Pillow refuses larger ones itself
    sharp_below: Share = 0.15
    blurred_above: Share = 0.85
    soft_above: Amount | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Score:
        if self.sharp_below >= self.blurred_above:
            raise ValueError("sharp_below must be smaller than blurred_above")
        return self


class Tracking(Section):
    """The address of the MLflow server, and where the states of unfinished trainings are kept."""

    uri: str
    experiment: str
    states: str


class Config(Section):
    """All of params.yaml."""

    seed: Count
    storage: str
    profile: Literal["lite", "paper"]
    data: Data
    augment: Augment
    lite: Profile
    paper: Profile
    tune: Tune
    ablate: Ablate
    evaluate: Evaluate
    registry: Registry
    score: Score
    tracking: Tracking

    @property
    def model(self) -> Model:
        """Architecture of the chosen profile."""
        return getattr(self, self.profile).model

    @property
    def train(self) -> Train:
        """Training recipe of the chosen profile."""
        return getattr(self, self.profile).train

    @property
    def run_seed(self) -> int:
        """Seed of initial weights and batches. It changes with `repeat`; the choice of held-back pairs does not."""
        return self.seed + 1000 * self.train.repeat

    def but(self, model: dict | None = None, train: dict | None = None) -> Config:
        """Return this configuration with some values of the chosen profile replaced.

        Raises:
            ConfigError: the new values do not fit the others.
        """
        values = self.model_dump()
        values[self.profile]["model"] |= model or {}
        values[self.profile]["train"] |= train or {}
        return _checked(values, "other values")


def load(path: str | Path = "params.yaml") -> Config:
    """Read and check a parameter file.

    A file with `base: OTHER`, where OTHER is a path relative to that file, only lists what differs from OTHER.

    Raises:
        ConfigError: the file is missing or not YAML, a key is unknown or missing, or a value is out of range.
    """
    return _checked(layered_yaml.read(Path(path)), str(path))


def score_options(**values: object) -> Score:
    """Return the options of bulk scoring that a command line gives.

    Raises:
        ConfigError: a value is out of range.
    """
    try:
        return Score.model_validate(values)
    except ValidationError as error:
        raise ConfigError(redacted("; ".join(_sentence(e) for e in error.errors()))) from None


def _checked(values: dict, where: str) -> Config:
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(redacted(f"{where}: " + "; ".join(_sentence(e) for e in error.errors()))) from None


def _sentence(error: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown parameter {key}: remove it or correct its name"
    if error["type"] == "missing":
        return f"parameter {key} is missing: add it"
    shows = not isinstance(error["input"], dict) and SECRET not in error["msg"]
    given = f" (given: {reprlib.repr(redacted(str(error['input'])))[:80]})" if shows else ""
    return f"{key}: {error['msg'].removeprefix('Value error, ')}{given}"
