"""The registered model: image bytes in, the record of a photo out, and its map if asked for.

MLflow logs this file itself ("models from code") with the model folder as an artifact: nothing is pickled.
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
from contextlib import suppress

import numpy as np
import pandas as pd
from mlflow.environment_variables import _MLFLOW_IS_IN_SERVING_ENVIRONMENT
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel

from r2mrf.config import Score
from r2mrf.errors import UserError
from r2mrf.imaging import images
from r2mrf.imaging.maps import to_uint8
from r2mrf.network import checkpoint
from r2mrf.prediction.predictor import Predictor
from r2mrf.prediction.record import record_and_map

# Limits of one request over HTTP; tables that a program passes directly (load_model, Spark) may have any length.
MAX_PHOTOS = 64
MAX_BYTES = 64 * 2**20  # of encoded photos


class DefocusModel(PythonModel):
    """Scores a table with a column `image` (encoded bytes); returns a table of records, one row a photo.

    With the parameter `map`, a column `map` is added: base64 of an 8-bit PNG of the photo's displayed size, white =
    defocused, at the size that the parameter `view` gives: whole, a number of pixels, or full. The parameter `detail`
    adds the columns of `record.DETAIL`. A photo that cannot be used is a row with status "failed" and the reason in
    `error`.
    """

    def load_context(self, context) -> None:
        """Load the network; MLflow calls this once, before the first request."""
        self.predictor = Predictor(checkpoint.load(context.artifacts["checkpoint"]))
        # clients wait for each other: the network takes all cores anyway, and memory holds one decoded photo
        self.one_at_a_time = threading.Lock()

    def predict(self, context, model_input: pd.DataFrame, params: dict | None = None) -> pd.DataFrame:
        """Return one record a photo, in the order of `model_input`.

        Raises:
            MlflowException: one request over HTTP holds too much.
        """
        photos = model_input["image"].tolist()
        if _MLFLOW_IS_IN_SERVING_ENVIRONMENT.get():
            _refuse_too_much(photos)
        rows = []
        for data in photos:
            with self.one_at_a_time:
                rows.append(self._row(data, **(params or {})))
        return pd.DataFrame(rows, dtype=object)  # so that what is unknown is null in JSON, not NaN, which is none

    def _row(self, data: bytes | str, map: bool = False, view: str = "whole", detail: bool = False) -> dict:
        content = _file(data)
        row, defocus = record_and_map(self.predictor, content, Score(detail=detail))
        if map:
            row["map"] = None if defocus is None else self._map(content, defocus, row, view)
        return row

    def _map(self, content: bytes, defocus: np.ndarray, row: dict, view: str) -> str:
        if view == "whole":
            return self._png(defocus, row["height"], row["width"])
        try:
            large = self.predictor(images.decode(content), view)
        except UserError as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from None
        return self._png(large, row["height"], row["width"])

    def _png(self, defocus: np.ndarray, height: int, width: int) -> str:
        pixels = to_uint8(self.predictor.preprocess.expand(defocus, height, width))
        return base64.b64encode(images.encode_png(pixels)).decode()


def _file(data: bytes | str) -> bytes:
    """Return the bytes of a photo's file. MLflow decodes base64 in some of its JSON forms, and not in others."""
    given = data.encode() if isinstance(data, str) else data
    text = re.sub(rb"^data:[\w/+.-]*;base64,", b"", given)
    if re.fullmatch(rb"[A-Za-z0-9+/\s]+={0,2}\s*", text):  # as no image file begins
        with suppress(binascii.Error):
            return base64.b64decode(text)
    return given


def _refuse_too_much(photos: list[bytes]) -> None:
    size = sum(map(len, photos))
    if len(photos) > MAX_PHOTOS or size > MAX_BYTES:
        raise MlflowException(
            f"too_large: {len(photos)} photos, {size:,} bytes in one request; at most {MAX_PHOTOS} photos and "
            f"{MAX_BYTES:,} bytes are taken: send several requests",
            INVALID_PARAMETER_VALUE,
        )


set_model(DefocusModel())
