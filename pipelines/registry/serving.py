"""The registered model: takes image bytes and returns each photo's record, and its map and blur radius if asked for.

MLflow logs this file itself ("models from code"), with the model folder as an artifact, so nothing is pickled.
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
from dataclasses import dataclass

import numpy as np
import pandas as pd
from mlflow.environment_variables import _MLFLOW_IS_IN_SERVING_ENVIRONMENT
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, scoring_server

from r2mrf.config import Score
from r2mrf.errors import UserError
from r2mrf.imaging import images
from r2mrf.imaging.maps import to_uint8
from r2mrf.imaging.resize import resize
from r2mrf.network import checkpoint
from r2mrf.prediction.predictor import Predictor
from r2mrf.prediction.radius import to_hundredths
from r2mrf.prediction.record import read_guarded, read_photo, record_and_map, within_borders
from r2mrf.prediction.views import parse
from r2mrf.system.sandbox import MEMORY, SECONDS, Guard

# Limits for one request over HTTP; tables that a program passes directly (load_model, Spark) may have any length.
MAX_PHOTOS = 64
MAX_CLOSE = 1  # photos per request that are examined in windows, because each takes seconds
MAX_BYTES = 64 * 2**20  # of encoded photos
MAX_BODY = 90 * 2**20  # of the whole request: base64 makes it a third longer
MAX_MESSAGE = 1000  # characters; MLflow's own messages repeat the request
CLOSE_PIXELS = 25_000_000  # of a photo that is examined in windows: each pixel takes 20 to 30 bytes


@dataclass(frozen=True)
class Wanted:
    """The parameters of a request, with their defaults, which the signature of the registered model repeats.

    Attributes:
        map: add a column `map`: base64 of an 8-bit PNG of the photo's displayed size, white = defocused.
        view: the view of the map: `whole`, `full`, or pixels along the long side. See `r2mrf.prediction.views`.
        radius: add a column `radius`: base64 of a 16-bit PNG, hundredths of a pixel. See `r2mrf.prediction.radius`.
        detail: add the columns of `r2mrf.prediction.detail.Detail`.
    """

    map: bool = False
    view: str = "whole"
    radius: bool = False
    detail: bool = False

    def __post_init__(self):
        if parse(self.view) != "whole" and not self.map:
            raise UserError(f"view {self.view}: this is the view of the map, but no map is asked for: set map to true")

    @property
    def close(self) -> bool:
        """Whether windows of the photo must be examined."""
        return self.radius or self.view != "whole"


class DefocusModel(PythonModel):
    """Scores a table with a column `image` (encoded bytes) and returns a table of records, one row per photo.

    `Wanted` describes its parameters. A photo that cannot be used gets a row with status "failed" and the reason in
    `error`.
    """

    def load_context(self, context) -> None:
        """Load the network; MLflow calls this once, before the first request."""
        self.predictor = Predictor(checkpoint.load(context.artifacts["checkpoint"]))
        self.score = Score()
        read = functools.partial(read_photo, preprocess=self.predictor.preprocess, max_pixels=self.score.max_pixels)
        self.guard = Guard(read, SECONDS, MEMORY)
        self.close_guard = Guard(functools.partial(images.decode, max_pixels=CLOSE_PIXELS), SECONDS, MEMORY)
        if scoring_server._SERVER_MODEL_PATH in os.environ:
            _bound_server()
        # Clients take turns: the network uses all cores anyway, and memory is planned for one decoded photo.
        self.one_at_a_time = threading.Lock()

    def predict(self, context, model_input: pd.DataFrame, params: dict | None = None) -> pd.DataFrame:
        """Return one record per photo, in the order of `model_input`. `params`: the fields of `Wanted`.

        Raises:
            MlflowException: there is no such view, or a request over HTTP has too many photos or bytes.
        """
        try:
            wanted = Wanted(**params or {})
        except UserError as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from None
        photos = model_input["image"].tolist()
        if _MLFLOW_IS_IN_SERVING_ENVIRONMENT.get():
            _refuse_too_much(photos, MAX_CLOSE if wanted.close else MAX_PHOTOS)
        rows = []
        for data in photos:
            with self.one_at_a_time:
                rows.append(self._row(_file(data), wanted))
        return pd.DataFrame(rows, dtype=object)  # keeps None, which becomes null in JSON; NaN is not valid JSON

    def _row(self, data: bytes, wanted: Wanted) -> dict:
        score = self.score.model_copy(update={"detail": wanted.detail})
        row, defocus = record_and_map(self.predictor, data, score, self.guard)
        pictures: dict[str, np.ndarray | None] = {}
        if wanted.map:
            # enlarged as uint8, because a large map of floats would take gigabytes
            pictures["map"] = None if defocus is None else resize(to_uint8(defocus), row["height"], row["width"])
        if wanted.close:
            try:
                pictures |= {} if defocus is None else self._close(read_guarded(self.close_guard, data), wanted)
            except images.ImageError as error:
                row = dict.fromkeys(row) | {"status": "failed", "error": str(error)}
                pictures = {}
        names = [name for name in ("map", "radius") if getattr(wanted, name)]
        return row | {name: _base64(pictures.get(name)) for name in names}

    def _close(self, rgb: np.ndarray, wanted: Wanted) -> dict[str, np.ndarray | None]:
        """Return what is wanted of a photo's windows: `map`, uint8 H×W; `radius`, uint16 H×W."""
        found: dict[str, np.ndarray | None] = {}
        if wanted.view != "whole":
            found["map"] = to_uint8(within_borders(rgb, lambda inner: self.predictor(inner, wanted.view), 0))
        if wanted.radius:
            found["radius"] = to_hundredths(within_borders(rgb, self.predictor.blur_radius, np.nan))
        return found


def _base64(pixels: np.ndarray | None) -> str | None:
    return None if pixels is None else base64.b64encode(images.encode_png(pixels)).decode()


def _file(data: bytes | str) -> bytes:
    """Return the bytes of a photo's file. MLflow decodes base64 only in some of its JSON formats."""
    given = data.encode() if isinstance(data, str) else data
    text = re.sub(rb"^data:[\w/+.-]*;base64,", b"", given).rstrip()
    # no image file looks like this; white space at the end is gone, because two patterns for it would take turns for
    # hours over megabytes of it
    if re.fullmatch(rb"[A-Za-z0-9+/\s]+={0,2}", text):
        with suppress(binascii.Error):
            return base64.b64decode(text)
    return given


def _refuse_too_much(photos: list[bytes], most: int) -> None:
    size = sum(map(len, photos))
    if len(photos) > most or size > MAX_BYTES:
        raise MlflowException(
            f"too_large: {len(photos)} photos, {size:,} bytes in one request; the limit is {most} photos "
            f"({MAX_CLOSE} with a view or radius) and {MAX_BYTES:,} bytes: send several requests",
            INVALID_PARAMETER_VALUE,
        )


def _bound_server() -> None:
    """Add the limits that MLflow's server lacks: the size of a request, and the cost of a malformed one."""
    from starlette.exceptions import HTTPException
    from starlette.requests import Request

    stream, invocations = Request.stream, scoring_server.invocations

    async def bounded_stream(self: Request) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in stream(self):
            size += len(chunk)
            if size <= MAX_BODY:  # the rest is read but not kept, so that the client gets to read the answer
                yield chunk
        if size > MAX_BODY:
            raise HTTPException(413, f"too_large: a request may have at most {MAX_BODY:,} bytes: send several requests")

    def bounded_invocations(data: bytes, *arguments: object) -> object:
        try:
            return invocations(data, *arguments)
        except MlflowException as error:
            error.message = error.message[:MAX_MESSAGE]
            raise
        except (RecursionError, ValueError) as error:  # nested too deep, or an integer with thousands of digits
            raise MlflowException(f"malformed request: {error}"[:MAX_MESSAGE], INVALID_PARAMETER_VALUE) from None
        finally:
            if len(data) > MAX_BODY // 16:  # it will be freed after the answer
                threading.Timer(1, _give_memory_back).start()

    Request.stream = bounded_stream  # type: ignore[method-assign, assignment]
    scoring_server.invocations = bounded_invocations


def _give_memory_back() -> None:
    gc.collect()
    with suppress(OSError, AttributeError):  # only glibc keeps freed memory and has this function
        ctypes.CDLL("libc.so.6").malloc_trim(0)


set_model(DefocusModel())
