"""The registered model: image bytes in, the record of a photo out, and its map if asked for.

MLflow logs this file itself ("models from code") with the model folder as an artifact: nothing is pickled.
"""

from __future__ import annotations

import base64
import binascii
import ctypes
import functools
import gc
import os
import re
import threading
from collections.abc import AsyncIterator
from contextlib import suppress

import numpy as np
import pandas as pd
from mlflow.environment_variables import _MLFLOW_IS_IN_SERVING_ENVIRONMENT
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, scoring_server

from r2mrf.config import Score
from r2mrf.imaging import images
from r2mrf.imaging.maps import to_uint8
from r2mrf.imaging.resize import resize
from r2mrf.network import checkpoint
from r2mrf.prediction.predictor import Predictor
from r2mrf.prediction.record import read_photo, record_and_map
from r2mrf.system.sandbox import Guard

# Limits of one request over HTTP; tables that a program passes directly (load_model, Spark) may have any length.
MAX_PHOTOS = 64
MAX_BYTES = 64 * 2**20  # of encoded photos
MAX_BODY = 90 * 2**20  # of the whole request: base64 is a third longer
MAX_MESSAGE = 1000  # characters; MLflow's own messages repeat the request

# Limits of decoding one photo, in a process of its own.
SECONDS = 20
MEMORY = 768 * 2**20


class DefocusModel(PythonModel):
    """Scores a table with a column `image` (encoded bytes); returns a table of records, one row a photo.

    With the parameter `map`, a column `map` is added: base64 of an 8-bit PNG of the photo's displayed size, white =
    defocused. A photo that cannot be used is a row with status "failed" and the reason in `error`.
    """

    def load_context(self, context) -> None:
        """Load the network; MLflow calls this once, before the first request."""
        self.predictor = Predictor(checkpoint.load(context.artifacts["checkpoint"]))
        self.score = Score()
        read = functools.partial(read_photo, preprocess=self.predictor.preprocess, max_pixels=self.score.max_pixels)
        self.guard = Guard(read, SECONDS, MEMORY)
        if scoring_server._SERVER_MODEL_PATH in os.environ:
            _bound_server()
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
                rows.append(self._row(data, bool(params and params.get("map"))))
        return pd.DataFrame(rows, dtype=object)  # so that what is unknown is null in JSON, not NaN, which is none

    def _row(self, data: bytes | str, with_map: bool) -> dict:
        row, defocus = record_and_map(self.predictor, _file(data), self.score, self.guard)
        if with_map:
            row["map"] = None if defocus is None else _png(defocus, row["height"], row["width"])
        return row


def _png(defocus: np.ndarray, height: int, width: int) -> str:
    """Return a map at the photo's size, in base64. It is enlarged as 8 bits: as floats a large one takes gigabytes."""
    return base64.b64encode(images.encode_png(resize(to_uint8(defocus), height, width))).decode()


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


def _bound_server() -> None:
    """Give MLflow's server the limits that it lacks: on the size of a request, and on what a malformed one costs."""
    from starlette.exceptions import HTTPException
    from starlette.requests import Request

    stream, invocations = Request.stream, scoring_server.invocations

    async def bounded_stream(self: Request) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in stream(self):
            size += len(chunk)
            if size <= MAX_BODY:  # the rest is read, so that the client gets to the answer, and is not kept
                yield chunk
        if size > MAX_BODY:
            raise HTTPException(413, f"too_large: a request has at most {MAX_BODY:,} bytes; send several requests")

    def bounded_invocations(data: bytes, *arguments: object) -> object:
        try:
            return invocations(data, *arguments)
        except MlflowException as error:
            error.message = error.message[:MAX_MESSAGE]
            raise
        except (RecursionError, ValueError) as error:  # nested too deep; an integer of thousands of digits
            raise MlflowException(f"malformed request: {error}"[:MAX_MESSAGE], INVALID_PARAMETER_VALUE) from None
        finally:
            if len(data) > MAX_BODY // 16:  # it is freed after the answer
                threading.Timer(1, _give_memory_back).start()

    Request.stream = bounded_stream  # type: ignore[method-assign, assignment]
    scoring_server.invocations = bounded_invocations


def _give_memory_back() -> None:
    gc.collect()
    with suppress(OSError, AttributeError):  # only glibc keeps freed memory, and has this function
        ctypes.CDLL("libc.so.6").malloc_trim(0)


set_model(DefocusModel())
