"""params.yaml -> one frozen, typed `Config`, checked once at the door.

    config = load("params.yaml")
    config.model.steps                      # of the chosen profile

An unknown key, a missing one, or a value out of range is an error that names it.
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
Side = Annotated[int, Field(ge=32, le=16_384)]  # pixels; a backbone's deepest level has one for 32 of them
Rendered = Annotated[int, Field(gt=0, le=500_000)]  # seeds for testing begin so far behind those for training
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Steps = Annotated[int, Field(ge=0, le=16)]  # recurrent ones, T
SECRET = "it holds a password"  # an error that says so does not show the value


class Section(BaseModel):
    """A part of params.yaml, where each key is explained; frozen, and without other keys than these."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*")
    @classmethod
    def _without_password(cls, value: object) -> object:
        """params.yaml and dvc.lock are committed."""
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and is_address(text) and Address.parse(text).has_password:
                raise ValueError(f"{SECRET}: give that by environment variables (docs/serving.md)")
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
    """Architecture of the network; in docs/method.md `steps` is T and `width` is M.

    A model.json holds it too: a field that is added needs a default that leaves models saved before as they were.
    """

    backbone: str
    weights: str
    grid_stride: Literal[2, 4]
    amdf_width: Width
    width: Width
    steps: Literal["auto"] | Steps  # auto: what the stage tune has chosen; no network is built from it
    share_steps: bool
    rrm: bool
    fusion_relu: bool
    input_size: Annotated[int, Field(ge=32, le=4096)]

    @property
    def recurrent_steps(self) -> int:
        """`steps` as a number.

        Raises:
            ConfigError: it is still `auto`.
        """
        if self.steps == "auto":
            raise ConfigError("model.steps is auto, and a network needs a number: run `dvc repro tune`, or give one")
        return self.steps


class Mixed(Section):
    """A further folder of training images, and the share of every batch that is drawn from it."""

    folder: Annotated[str, Field(min_length=1)]
    share: Annotated[float, Field(gt=0, lt=1)]


class Train(Section):
    """A training recipe."""

    start: str
    mix: tuple[Mixed, ...]
    repeat: Count
    workers: Positive | tuple[Positive, Positive]  # or the fewest and the most, as machines come and go
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
    clip_norm: Amount
    ema: Annotated[float, Field(ge=0, lt=1)]
    precision: Literal["auto", "fp32", "bf16"]
    validation: Count
    report_every: Positive
    max_failures: Count

    @model_validator(mode="after")
    def _batch_splits(self) -> Train:
        if isinstance(self.workers, tuple) and self.workers[0] > self.workers[1]:
            raise ValueError(f"workers {list(self.workers)}: the fewest come first, then the most")
        if self.batch < self.most_workers:
            raise ValueError(f"batch {self.batch} leaves some of {self.most_workers} workers nothing to do")
        return self

    @model_validator(mode="after")
    def _main_has_a_share(self) -> Train:
        if sum(other.share for other in self.mix) >= 1:
            raise ValueError("mix: the shares leave nothing of a batch to data/augmented: lower them")
        return self

    @property
    def most_workers(self) -> int:
        """How many workers there may be at a time."""
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
    """The search for the number of recurrent steps. Lists may name values of the profile to try as well."""

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
    """How long ablations may train, in minutes, how many steps a row, and how many pairs compare them."""

    minutes: Amount
    steps: Positive
    validation: Positive


class Evaluate(Section):
    """Settings of what is shown and compared, beside the figures."""

    gallery: Positive
    baseline_pairs: Annotated[int, Field(ge=2)]


class Registry(Section):
    """The name that models are registered under, and what a champion must reach."""

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    margin: Annotated[float, Field(gt=0, le=1)]
    least_f_05: Share
    most_mae: Share


class Score(Section):
    """Bulk scoring. The defaults serve the command line where there is no params.yaml."""

    source: str = "samples"
    allow: tuple[str, ...] = ()  # servers and buckets that lists may name, like https://host or s3://*
    include: tuple[str, ...] = ()  # patterns of photos in folders, as .gitignore has them: only these
    exclude: tuple[str, ...] = ()  # and not these
    maps: bool = False
    detail: bool = False
    by_content: bool = False
    retry: bool = False
    prune: bool = False
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
    """Where MLflow is, and where states of unfinished training lie."""

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
        """Seed of initial weights and of batches; a repetition has another. Which pairs are held back is by `seed`."""
        return self.seed + 1000 * self.train.repeat

    def but(self, model: dict | None = None, train: dict | None = None) -> Config:
        """Return this configuration with other values in the chosen profile.

        Raises:
            ConfigError: they do not fit it.
        """
        values = self.model_dump()
        values[self.profile]["model"] |= model or {}
        values[self.profile]["train"] |= train or {}
        return _checked(values, "other values")


def load(path: str | Path = "params.yaml") -> Config:
    """Read and check a parameter file.

    A file with `base: OTHER`, a path from where it lies, says only what differs from the other one.

    Raises:
        ConfigError: the file is missing or no YAML, a key is unknown or missing, a value is out of range.
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
