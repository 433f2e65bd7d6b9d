"""The weights that ship with the package: they are there, they are small, and they see defocus.

On scenes rendered here and on photographs that installed packages ship; none of either was trained on.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines.project.samples import samples
from r2mrf.config import load
from r2mrf.engines.onnx_graph import without_weights
from r2mrf.engines.runtimes import EngineError, native_int8
from r2mrf.evaluation.metrics import Counts
from r2mrf.imaging import images
from r2mrf.imaging.maps import to_uint8
from r2mrf.imaging.resize import resize
from r2mrf.network import model_folder
from r2mrf.network.model_folder import RELEASED
from r2mrf.network.precision import native_bfloat16
from r2mrf.prediction import record, without_torch
from r2mrf.prediction.predictor import Predictor
from r2mrf.rendering.camera import to_linear, to_srgb
from r2mrf.rendering.lens import defocus
from r2mrf.rendering.scenes import render_scene
from tests.support.box_photos import SHARED

LARGEST = 20 * 2**20  # bytes
CONFIDENT = 64  # of 255: below, lytro's masks are unsure
SCENES = range(16)  # training renders scenes of far larger numbers
RADII = (0, 1, 2, 4, 8)  # of discs, in pixels of the network's input


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load("lite")


def test_are_small_and_say_what_they_are(predictor):
    files = {path.name for path in (RELEASED / "lite").iterdir()}
    assert files == {"model.safetensors", "model.json", "model.onnx", "int8.onnx", "README.md"}
    # If this fails, the weights are new: make the int8 form again as docs/training.md says
    assert predictor.checkpoint.int8
    assert model_folder.HASH in (RELEASED / "lite" / model_folder.FACTS).read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in (RELEASED / "lite").iterdir()) <= LARGEST
    card = (RELEASED / "lite" / "README.md").read_text(encoding="utf-8")
    assert predictor.checkpoint.sha256[:12] in card


def test_are_what_the_parameters_in_released_make(predictor):
    config = load(Path(__file__).parents[2] / "released/relabelled/params.yaml")
    facts = predictor.checkpoint.training
    assert predictor.checkpoint.model == config.model.model_copy(update={"weights": "random"})
    assert (facts["profile"], facts["source"], facts["seed"]) == (config.profile, config.data.source, config.seed)
    recipe = {name: value for name, value in facts["recipe"].items() if name not in ("start", "precision")}
    assert recipe == config.train.model_dump(mode="json", include=set(recipe))


def test_find_defocus_in_scenes_never_trained_on(predictor):
    counts = Counts()
    for number in SCENES:
        scene = render_scene(number)
        counts.add(to_uint8(predictor(scene.image)), scene.mask)
    figures = counts.summary()
    # F of scenes without any defocus is 0 or 1, and of these there are some: what is right is counted in pixels
    assert figures["mae"] <= 0.13
    assert figures["iou"] >= 0.75


def blurred_all_over(rgb: np.ndarray, radius: float) -> np.ndarray:
    return np.rint(to_srgb(defocus(to_linear(rgb), radius)) * 255).astype(np.uint8) if radius else rgb


@pytest.fixture(scope="module")
def ladder(predictor) -> np.ndarray:
    """Return the share of each sample photograph that is found blurred, photos × RADII, at the network's own size."""
    photos = [resize(images.load(path), 320, 320) for path in samples()]
    return np.array([[(predictor(blurred_all_over(p, r)) >= 0.5).mean() for r in RADII] for p in photos])


def test_more_blur_is_found_the_more_there_is(ladder):
    assert (np.diff(ladder, axis=1) >= -0.05).all()


def test_photos_blurred_all_over_are_found_blurred(ladder):
    assert np.median(ladder[:, -1]) >= 0.95
    assert np.median(ladder[:, -2]) >= 0.85


def test_one_photo_from_the_command_line(tmp_path, monkeypatch):
    from pipelines.command.cli import main

    monkeypatch.chdir(tmp_path)
    assert main(["map", str(samples()[0]), "-o", "map.png"]) == 0
    assert images.decode_mask(Path("map.png").read_bytes()).shape == images.load(samples()[0]).shape[:2]


def test_without_torch_it_says_the_same(predictor):
    for path in samples():
        rgb = images.load(path)
        expected, got = predictor.analyse(rgb), without_torch.load("lite").analyse(rgb)
        np.testing.assert_allclose(got.defocus, expected.defocus, atol=1e-3)
        assert got.confidence == pytest.approx(expected.confidence, abs=1e-3)


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_bf16_says_nearly_the_same(predictor, engine):
    """Compare maps: on the sample photographs one changes by 0.003 on average and by at most 0.008.

    A processor that emulates bf16 gives the same changes."""
    try:
        rounded = Predictor.load("lite", engine, precision="bf16")
    except EngineError:
        assert not native_bfloat16()
        pytest.skip("OpenVINO emulates bfloat16 only where there is AVX-512")
    photos = [resize(images.load(path), 320, 320) for path in samples()]
    differences = [np.abs(rounded(photo) - predictor(photo)).mean() for photo in photos]
    assert 0 < np.mean(differences) <= 0.015
    assert max(differences) <= 0.06


def real_photos() -> dict[str, list[tuple[Path, Path, Path | None]]]:
    """Photos, masks that are white in focus, and confidences; and photos of CUHK's 604, whose masks say defocus."""
    lytro, cuhk = SHARED / "real/lytro", SHARED / "cuhk"
    shots = [(photo, lytro / "masks" / f"{photo.stem}.png") for photo in sorted((lytro / "images").iterdir())]
    some = (cuhk / "train604.txt").read_text().split()[1::14]
    pairs = [next((cuhk / folder).glob(f"{name}.*")) for name in some for folder in ("image", "gt")]
    return {
        "lytro": [(photo, mask, lytro / "confidence" / mask.name) for photo, mask in shots],
        "CUHK, of the 604": [(photo, mask, None) for photo, mask in zip(pairs[::2], pairs[1::2], strict=True)],
    }


@pytest.mark.skipif(not SHARED.is_dir(), reason="no real photographs at ../shared/data")
@pytest.mark.skipif(not native_int8(), reason="this processor has no VNNI")
@pytest.mark.parametrize("name", ["lytro", "CUHK, of the 604"])
def test_int8_is_as_good_on_real_photographs(name):
    figures = {}
    for precision in ("fp32", "int8"):
        predictor, counts = Predictor.load("lite", "openvino", precision=precision), Counts()
        for photo, path, confidence in real_photos()[name]:
            mask = images.load_mask(path)
            sure = np.ones_like(mask, bool)
            if confidence:
                mask, sure = 255 - mask, images.load_mask(confidence) >= CONFIDENT
            counts.add(to_uint8(predictor(images.load(photo)))[sure][None], mask[sure][None])
        figures[precision] = counts.summary()
    for figure in ("f_05", "mae"):
        assert figures["int8"][figure] == pytest.approx(figures["fp32"][figure], abs=0.005), figure


@pytest.mark.skipif(not SHARED.is_dir(), reason="no real photographs at ../shared/data")
@pytest.mark.parametrize(("shot", "whole", "full"), [("lytro_08_B", 85, 98), ("lytro_15_B", 0, 85)])
def test_full_view_finds_slightly_missed_focus(predictor, shot, whole, full):
    """The subject is blurred by less than two pixels, and the focus is behind it: docs/method.md has the shares."""
    lytro = SHARED / "real/lytro"
    photo, mask = images.load(lytro / "images" / f"{shot}.png"), images.load_mask(lytro / "masks" / f"{shot}.png")
    sure = images.load_mask(lytro / "confidence" / f"{shot}.png") >= CONFIDENT
    for view, percent in (("whole", whole), ("full", full)):
        found = predictor(photo, view=view) >= 0.5
        assert 100 * found[sure & (mask < 128)].mean() == pytest.approx(percent, abs=2)
        assert found[sure & (mask >= 128)].mean() < 0.05


def test_its_graph_is_the_network_of_today(predictor):
    weights = (RELEASED / "lite/model.safetensors").read_bytes()
    # If this fails: python -m pipelines.jobs.release
    graph = without_weights(predictor.network, weights, beside="model.safetensors")
    assert graph == (RELEASED / "lite/model.onnx").read_bytes()


@pytest.mark.parametrize("spoilt", ["model.onnx", "model.json", "model.safetensors"])
@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\0"),
        lambda path: path.unlink(),
    ],
    ids=["empty", "its last byte another", "gone"],
)
def test_files_that_do_not_belong_together_are_left_to_the_predictor(tmp_path, monkeypatch, spoilt, change):
    shutil.copytree(RELEASED / "lite", tmp_path / "lite")
    monkeypatch.setattr(model_folder, "RELEASED", tmp_path)
    assert without_torch.load("lite") is not None
    change(tmp_path / "lite" / spoilt)
    assert without_torch.load("lite") is None


@pytest.mark.parametrize("name", ["./lite", "lite/", str(RELEASED / "lite"), "other"])
def test_other_names_are_left_to_the_predictor(name):
    assert without_torch.load(name) is None


def test_without_onnx_runtime_it_is_left_to_the_predictor(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert without_torch.load("lite") is None


def test_photos_decoded_at_a_fraction_score_nearly_the_same(predictor):
    """Decode at a half, a quarter and an eighth of the size, as `record.REDUCED` allows.

    blur_fraction changes by 0.01 on average, and by at most 0.05 where the network is undecided."""
    differences = []
    for seed, quality, side in ((900, 75, 1300), (903, 75, 1300), (905, 95, 1300), (900, 75, 2600), (903, 95, 5200)):
        data = images.encode_jpeg(images.decode(render_scene(seed, side).jpeg), quality)
        whole = predictor.preprocess.shrink(images.decode(data))
        reduced = record.shrink(data, predictor.preprocess, images.MAX_PIXELS)
        assert (reduced.width, reduced.height) == (side, side)
        assert np.abs(reduced.pixels.astype(int) - whole).mean() < 3
        one, other = (a.defocus >= 0.5 for a in predictor.analyse_batch(np.stack([whole, reduced.pixels])))
        differences.append(abs(one.mean() - other.mean()))
    assert np.mean(differences) <= 0.02
    assert max(differences) <= 0.05
