"""A registered model, loaded with MLflow alone, answers as the network does, and names what it cannot do."""

import base64
import hashlib
import sys
from collections.abc import Iterator

import cv2
import mlflow
import numpy as np
import pandas as pd
import pytest

from r2mrf.config import Score
from r2mrf.imaging import images
from r2mrf.imaging.maps import to_uint8
from r2mrf.prediction.predictor import Predictor
from r2mrf.prediction.radius import UNKNOWN, to_hundredths
from r2mrf.prediction.record import DETAIL, record

pytestmark = pytest.mark.usefixtures("_own_code")


@pytest.fixture
def _own_code() -> Iterator[None]:
    """Restore our packages after each test, since a loaded model brings its own copy of them."""
    ours = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in ("r2mrf", "pipelines")}
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name in [name for name in sys.modules if name.partition(".")[0] in ("r2mrf", "pipelines")]:
        del sys.modules[name]
    sys.modules.update(ours)


def test_signature_and_example(team):
    info = mlflow.models.get_model_info("models:/r2mrf/1")
    assert info.signature.inputs.input_names() == ["image"]
    defaults = {param["name"]: param["default"] for param in info.signature.params.to_dict()}
    assert defaults == {"map": False, "view": "whole", "radius": False, "detail": False}
    model = mlflow.pyfunc.load_model("models:/r2mrf/1")
    answer = model.predict(model.input_example)
    optional = {"map", "radius", *DETAIL}
    assert set(answer.columns) == set(info.signature.outputs.input_names()) - optional
    assert answer["status"].tolist() == ["ok"]
    assert answer["content_sha256"].tolist() == [hashlib.sha256(model.input_example["image"][0]).hexdigest()]
    # some of MLflow's JSON forms leave base64 as it is
    text = base64.b64encode(model.input_example["image"][0])
    again = model.predict(pd.DataFrame({"image": [text, b"data:image/png;base64," + text, b"no photo"]}))
    assert again["status"].tolist() == ["ok", "ok", "failed"]


def test_view_radius_and_detail_are_parameters(team):
    rng = np.random.default_rng(0)
    photo = np.full((150, 200, 3), 255, np.uint8)  # a picture within a white border, of which nothing can be said
    photo[20:130, 20:180] = rng.integers(0, 128, (110, 160, 3))
    inner = photo[22:128, 22:178]
    table = pd.DataFrame({"image": [images.encode_png(photo), b"no photo"]})
    predictor, options = Predictor.load(str(team.files("1") / "artifacts/r2mrf")), Score(detail=True)
    model = mlflow.pyfunc.load_model("models:/r2mrf/1")
    good, bad = model.predict(table, params={"map": True, "view": "150", "radius": True, "detail": True}).to_dict(
        "records"
    )

    seen = images.decode_mask(base64.b64decode(good["map"]))
    expected = to_uint8(predictor(inner, 150)).astype(int)
    assert np.abs(seen[22:128, 22:178] - expected).max() <= 1
    assert seen[:22].max() == seen[:, 180:].max() == 0
    radius = cv2.imdecode(np.frombuffer(base64.b64decode(good["radius"]), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(radius[22:128, 22:178], to_hundredths(predictor.blur_radius(inner)))
    assert radius[:22].min() == UNKNOWN
    alone = record(predictor, table["image"][0], options)
    assert {name: good[name] for name in DETAIL} == {name: alone[name] for name in DETAIL}
    assert bad["status"] == "failed"
    assert {bad[name] for name in ("map", "radius", *DETAIL)} == {None}

    for params, says in (
        ({"map": True, "view": "half"}, "give whole, full, or"),
        ({"view": "full"}, "set map to true"),
    ):
        with pytest.raises(mlflow.MlflowException, match=says):
            model.predict(table, params=params)


def test_a_photo_too_large_for_windows_is_a_reason(team):
    table = pd.DataFrame({"image": [images.encode_jpeg(np.zeros((5001, 5000, 3), np.uint8))]})
    model = mlflow.pyfunc.load_model("models:/r2mrf/1")
    assert model.predict(table, params={"map": True})["status"].tolist() == ["ok"]
    (row,) = model.predict(table, params={"map": True, "view": "200"}).to_dict("records")
    assert (row["status"], row["map"], row["width"]) == ("failed", None, None)
    assert row["error"].startswith("too_large: 5000×5001 pixels")
