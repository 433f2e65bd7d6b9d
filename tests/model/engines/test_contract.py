"""One contract for every engine: torch's probabilities, whichever engine runs the network."""

import numpy as np
import pytest
import torch

from r2mrf import Predictor
from r2mrf.engines.choose import create
from r2mrf.engines.onnx_graph import Graph
from r2mrf.engines.runtimes import Engine, EngineError, Probabilities
from r2mrf.network import precision
from r2mrf.network.checkpoint import Checkpoint
from tests.support.model import SIDE, decided
from tests.support.probabilities import MEAN_TOLERANCE, close, noise

FORMATS = [("torch", "fp32"), ("openvino", "fp32"), ("onnx", "fp32"), ("torch", "bf16"), ("openvino", "bf16")]
PHOTOS = {
    "one": noise(1),
    "three": noise(3, seed=1),
    "black": np.zeros((1, SIDE, SIDE, 3), np.uint8),
    "white": np.full((1, SIDE, SIDE, 3), 255, np.uint8),
}


@pytest.fixture(scope="module", params=FORMATS, ids=" ".join)
def engine(request, made) -> Engine:
    """Return every engine in every precision that it has; bf16 is emulated on a processor that does not multiply it."""
    try:
        return create(request.param[0], made, threads=1, precision=request.param[1])
    except EngineError as error:
        assert request.param == ("openvino", "bf16"), error
        assert not precision.native_bfloat16()
        pytest.skip("OpenVINO emulates bfloat16 only where there is AVX-512")


def reference(made: Checkpoint, photos: np.ndarray) -> Probabilities:
    """Return torch's probabilities in float32."""
    graph, x = Graph(made.network), torch.from_numpy(made.preprocess.normalise(photos))
    with torch.inference_mode():
        return Probabilities(*(output.numpy() for output in graph(x)))


def test_the_reference_says_something(made):
    defocus = reference(made, PHOTOS["three"]).defocus
    assert defocus.min() < 0.1
    assert defocus.max() > 0.9


@pytest.mark.parametrize("photos", PHOTOS.values(), ids=PHOTOS)
def test_probabilities_are_torchs(engine, made, photos):
    got, expected = engine(made.preprocess.normalise(photos)), reference(made, photos)
    for ours, theirs in zip(got, expected, strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, np.float32)
        close(ours, theirs, engine.precision)
    assert got.defocus.shape == (len(photos), SIDE, SIDE)
    assert got.steps.shape == (len(photos), 3, SIDE // 4, SIDE // 4)


def test_batches_of_any_size_one_after_the_other(engine, made):
    for batch in (3, 1, 2):
        x = made.preprocess.normalise(noise(batch))
        close(engine(x).defocus[0], engine(x[:1]).defocus[0], engine.precision)


def test_memory_layout_changes_nothing(engine, made):
    x = made.preprocess.normalise(PHOTOS["three"])
    expected = engine(np.ascontiguousarray(x)).defocus
    np.testing.assert_allclose(engine(np.asfortranarray(x)).defocus, expected, atol=1e-5)
    np.testing.assert_allclose(engine(x).defocus, expected, atol=1e-5)


def test_returned_arrays_are_not_overwritten(engine, made):
    first = engine(made.preprocess.normalise(noise(1)))
    copies = [output.copy() for output in first]
    engine(made.preprocess.normalise(noise(1, seed=9)))
    for output, copy in zip(first, copies, strict=True):
        np.testing.assert_array_equal(output, copy)


def test_map_and_confidence_of_a_photo(engine, made):
    rgb = np.random.default_rng(2).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    expected, got = Predictor(made).analyse(rgb), Predictor(made, engine).analyse(rgb)
    close(got.defocus, expected.defocus, engine.precision)
    assert got.confidence == pytest.approx(expected.confidence, abs=MEAN_TOLERANCE[engine.precision])


ARCHITECTURES = [
    {"steps": 0, "grid_stride": 2},
    {"steps": 1, "rrm": False, "fusion_relu": True},
    {"steps": 4, "share_steps": False},
]


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_every_architecture(name, architecture):
    other = decided(**architecture)
    got, expected = create(name, other)(other.preprocess.normalise(PHOTOS["one"])), reference(other, PHOTOS["one"])
    assert got.steps.shape[1] == min(architecture["steps"] + 1, 3)
    for ours, theirs in zip(got, expected, strict=True):
        close(ours, theirs, "fp32")
