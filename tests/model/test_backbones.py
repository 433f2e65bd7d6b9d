"""The contract of a backbone, run for every one that is offered; weights and their errors."""

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import BatchNormAct2d
from torch import nn

from r2mrf.network.backbones import STRIDES, TESTED, Backbone, BackboneError


class Contract:
    """The contract that the network relies on. A subclass names the backbone and the channels of its levels."""

    name: str
    channels: tuple[int, ...]
    rounds_up = True  # sizes that a stride does not divide; pooling without padding rounds down

    @pytest.fixture(scope="class")
    @classmethod
    def backbone(cls) -> Backbone:
        torch.manual_seed(0)
        return Backbone(cls.name).eval()

    @torch.inference_mode()
    def test_five_levels(self, backbone):
        assert tuple(backbone.channels) == self.channels
        levels = backbone(torch.randn(1, 3, 64, 64))
        sides = [64 // stride for stride in STRIDES]
        assert [tuple(f.shape) for f in levels] == [(1, c, n, n) for c, n in zip(self.channels, sides, strict=True)]
        assert all(f.isfinite().all() for f in levels)

    @torch.inference_mode()
    def test_odd_sizes(self, backbone):
        height, width = 65, 97
        for f in backbone(torch.randn(1, 3, height, width)):
            height, width = ((n + 1) // 2 if self.rounds_up else n // 2 for n in (height, width))
            assert tuple(f.shape[-2:]) == (height, width)

    @torch.inference_mode()
    def test_smallest_input(self, backbone):
        assert backbone(torch.randn(1, 3, 32, 32))[-1].shape == (1, self.channels[-1], 1, 1)

    @torch.inference_mode()
    def test_batch_is_row_by_row_in_training_too(self, backbone):
        backbone.train()
        x = torch.randn(2, 3, 64, 64)
        alone = [backbone(row[None]) for row in x]
        for i, level in enumerate(backbone(x)):
            torch.testing.assert_close(level, torch.cat([f[i] for f in alone]), rtol=1e-3, atol=1e-3)
        backbone.eval()

    def test_batchnorm_is_trained_but_its_statistics_stay(self, backbone):
        backbone.train()
        norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d | BatchNormAct2d)]
        before = [(m.running_mean.clone(), m.num_batches_tracked.clone()) for m in norms]
        levels = backbone(torch.randn(1, 3, 32, 32) + 3)
        sum(f.square().mean() for f in levels).backward()
        assert backbone.training
        assert not any(m.training for m in norms)
        for norm, (mean, batches) in zip(norms, before, strict=True):
            assert torch.equal(norm.running_mean, mean)
            assert torch.equal(norm.num_batches_tracked, batches)
        lacking = [key for key, p in backbone.named_parameters() if p.grad is None]
        assert not lacking
        backbone.zero_grad()
        backbone.eval()


class TestLite0(Contract):
    name = "tf_efficientnet_lite0"
    channels = (16, 24, 40, 112, 320)


class TestLite1(Contract):
    name = "tf_efficientnet_lite1"
    channels = (16, 24, 40, 112, 320)


class TestLite2(Contract):
    name = "tf_efficientnet_lite2"
    channels = (16, 24, 48, 120, 352)


class TestResNeXt101(Contract):
    name = "resnext101_32x4d"
    channels = (64, 256, 512, 1024, 2048)


class TestResNeXt50(Contract):
    name = "resnext50_32x4d"
    channels = (64, 256, 512, 1024, 2048)


class TestVGG16(Contract):
    name = "vgg16"
    channels = (128, 256, 512, 512, 512)
    rounds_up = False


class TestDenseNet161(Contract):
    name = "densenet161"
    channels = (96, 384, 768, 2112, 2208)

    @torch.inference_mode()
    def test_odd_sizes(self, backbone):
        # its stem rounds up, its transitions round down: 65 → 33 → 17 → 8 → 4 → 2
        sizes = [tuple(f.shape[-2:]) for f in backbone(torch.randn(1, 3, 65, 97))]
        assert sizes == [(33, 49), (17, 25), (8, 12), (4, 6), (2, 3)]


def test_every_offered_backbone_has_its_contract_run():
    assert {contract.name for contract in Contract.__subclasses__()} == set(TESTED)


# --- weights ---------------------------------------------------------------------------------------------


def test_normalisation_of_others_is_that_of_timm():
    backbone = Backbone("resnext50_32x4d")
    assert backbone.mean == pytest.approx((0.485, 0.456, 0.406))
    assert backbone.std == pytest.approx((0.229, 0.224, 0.225))


def error_of(name: str, weights: str = "random") -> str:
    with pytest.raises(BackboneError) as caught:
        Backbone(name, weights)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_unknown_name_lists_those_known():
    text = error_of("resnext9000")
    assert "'resnext9000'" in text
    assert all(name in text for name in TESTED)


def test_backbone_without_five_levels():
    assert "levels at strides [16, 16, 16]" in error_of("vit_tiny_patch16_224")


def test_unreachable_hub_names_both_ways_out(monkeypatch):
    def unreachable(*_, **__):
        raise OSError("[Errno 101]\nNetwork is unreachable")

    monkeypatch.setattr(timm, "create_model", unreachable)
    text = error_of("resnext50_32x4d", "pretrained")
    assert "resnext50_32x4d" in text
    assert "Network is unreachable" in text
    assert "go online" in text
    assert ".safetensors file" in text


def test_missing_weights_file(tmp_path):
    path = tmp_path / "absent.safetensors"
    assert str(path) in error_of("tf_efficientnet_lite0", str(path))


def test_weights_that_would_have_to_be_unpickled_are_refused(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"anything")
    assert "no such .safetensors file" in error_of("tf_efficientnet_lite0", str(path))


def test_local_weights_file(tmp_path):
    path = tmp_path / "densenet121.safetensors"
    source = timm.create_model("densenet121").state_dict()
    save_file(source, path)
    loaded = Backbone("densenet121", str(path)).state_dict()
    for key in ("conv0.weight", "denseblock4.denselayer16.conv2.weight"):
        (ours,) = (tensor for name, tensor in loaded.items() if name.endswith(key))
        assert torch.equal(ours, source[f"features.{key}"])


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("tf_efficientnet_lite0", "mobilenetv2_035"),
        ("tf_efficientnet_lite1", "tf_efficientnet_lite0"),  # lacks blocks
        ("tf_efficientnet_lite1", "tf_efficientnet_lite2"),  # has the same names
        ("densenet121", "mobilenetv2_035"),  # timm takes nothing from such a file, and says so in a warning only
        ("mobilenetv2_050", "mobilenetv2_035"),  # has the same names
    ],
)
def test_weights_of_another_network(tmp_path, asked, given):
    path = tmp_path / "other.safetensors"
    save_file(timm.create_model(given).state_dict(), path)
    text = error_of(asked, str(path))
    assert asked in text
    assert "go online" not in text
