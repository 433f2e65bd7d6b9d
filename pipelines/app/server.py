"""The page's server: photos in, maps out, to this machine only.

    application(OpenPhotos(analyser))       # an ASGI application

Anything in a browser can send requests to this machine, so the host that a request names and the page that it comes
from are checked, and the page may load nothing from elsewhere.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.app.open_photos import NotOpen, OpenPhotos
from r2mrf.errors import UserError
from r2mrf.imaging import images
from r2mrf.imaging.maps import overlay
from r2mrf.imaging.resize import resize
from r2mrf.prediction import views

PAGE = Path(__file__).with_name("page_assets")
MAX_BYTES = 64 * 2**20  # of a photo's file, as in a request to the registered model
SHOWN = 1200  # pixels: longest side at which the page shows a photo

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def application(photos: OpenPhotos) -> Starlette:
    """Build the ASGI application of the page."""
    answers = Answers(photos)
    routes = [
        *(Route(f"/{name}", _asset(file)) for name, file in (("", "index.html"), ("app.css",) * 2, ("app.js",) * 2)),
        Route("/photos", answers.open, methods=["POST"]),
        *(Route(f"/photos/{{name}}/{what}", answer) for what, answer in answers.of_a_photo.items()),
    ]
    middleware = [
        Middleware(_Headers),
        Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"]),
    ]
    errors = {HTTPException: _http_error, UserError: _user_error}
    return Starlette(routes=routes, middleware=middleware, exception_handlers=errors)  # type: ignore[arg-type]


class Answers:
    """Answers the page's requests about photos."""

    def __init__(self, photos: OpenPhotos):
        self._photos = photos
        self.of_a_photo: dict[str, Callable[[Request], Response]] = {
            "photo.jpg": self.photo,
            "map": self.shown_map,
            "radius": self.shown_radius,
            "steps": self.steps,
            "map.png": self.map_file,
            "mask.png": self.mask_file,
            "overlay.jpg": self.overlay_file,
            "radius.png": self.radius_file,
        }

    async def open(self, request: Request) -> Response:
        """Open the photo whose file is the request's body."""
        origin = request.headers.get("origin")
        if origin and urlsplit(origin).netloc != request.headers.get("host"):
            raise HTTPException(403, "another page asked for this")
        data = bytearray()
        async for chunk in request.stream():
            data += chunk
            if len(data) > MAX_BYTES:
                raise HTTPException(413, f"the file has more than {MAX_BYTES:,} bytes: `r2mrf map` takes larger ones")
        name, photo = await run_in_threadpool(self._photos.open, bytes(data))
        height, width = photo.rgb.shape[:2]
        shown = _shown_size(photo.rgb)
        facts = {"name": name, "width": width, "height": height, "views": photo.views}
        return JSONResponse(facts | {"shownWidth": shown[1], "shownHeight": shown[0]}, 201)

    def photo(self, request: Request) -> Response:
        """The photo, at most `SHOWN` pixels long."""
        rgb = self._photos.get(_name(request)).rgb
        return Response(images.encode_jpeg(resize(rgb, *_shown_size(rgb)), 90), media_type="image/jpeg")

    def shown_map(self, request: Request) -> Response:
        """The map at the size of the shown photo: a byte a pixel, 255 = out of focus."""
        defocus = self._map(request)
        return _numbers(resize(defocus, *_shown_size(defocus)))

    def shown_radius(self, request: Request) -> Response:
        """The blur radius at the size of the shown photo: two bytes a pixel, little-endian, hundredths of a pixel."""
        radius = self._photos.radius_of(_name(request))
        return _numbers(_nearest(radius, *_shown_size(radius)).astype("<u2"))

    def steps(self, request: Request) -> Response:
        """The fused map after each recurrent step, as PNG files in data URLs."""
        files = map(images.encode_png, self._photos.steps_of(_name(request)))
        return JSONResponse([f"data:image/png;base64,{base64.b64encode(file).decode()}" for file in files])

    def map_file(self, request: Request) -> Response:
        """The map of the photo's size, 8-bit, white = out of focus."""
        return Response(images.encode_png(self._map(request)), media_type="image/png")

    def mask_file(self, request: Request) -> Response:
        """The mask of the photo's size: white where the map reaches the threshold, black elsewhere."""
        return Response(images.encode_png(self._mask(request)), media_type="image/png")

    def overlay_file(self, request: Request) -> Response:
        """The photo of its own size, tinted where its map reaches the threshold."""
        rgb = self._photos.get(_name(request)).rgb
        return Response(images.encode_jpeg(overlay(rgb, self._mask(request) > 0)), media_type="image/jpeg")

    def radius_file(self, request: Request) -> Response:
        """The blur radius of the photo's size: 16-bit, hundredths of a pixel, 65535 = unknown."""
        return Response(images.encode_png(self._photos.radius_of(_name(request))), media_type="image/png")

    def _map(self, request: Request) -> np.ndarray:
        view = views.parse(request.query_params.get("view", "whole"))
        return self._photos.map_of(_name(request), view)

    def _mask(self, request: Request) -> np.ndarray:
        try:
            threshold = float(request.query_params.get("threshold", "0.5"))
        except ValueError:
            threshold = -1
        if not 0 < threshold <= 1:
            raise UserError("threshold: give a number above 0, at most 1")
        return np.where(self._map(request) >= threshold * 255, 255, 0).astype(np.uint8)


class _Headers:
    """Adds `HEADERS` to every answer."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(key.lower().encode(), value.encode()) for key, value in HEADERS.items()]
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


def _asset(name: str) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        return FileResponse(PAGE / name)

    return answer


def _http_error(request: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code)


def _user_error(request: Request, error: UserError) -> Response:
    return JSONResponse({"error": str(error)}, 404 if isinstance(error, NotOpen) else 400)


def _name(request: Request) -> str:
    return request.path_params["name"]


def _numbers(values: np.ndarray) -> Response:
    return Response(np.ascontiguousarray(values).tobytes(), media_type="application/octet-stream")


def _shown_size(pixels: np.ndarray) -> tuple[int, int]:
    height, width = pixels.shape[:2]
    scale = min(SHOWN / max(height, width), 1)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def _nearest(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Shrink without mixing values, one of which means that the radius is unknown."""
    rows = (np.arange(height) + 0.5) * pixels.shape[0] / height
    columns = (np.arange(width) + 0.5) * pixels.shape[1] / width
    return pixels[rows.astype(int)[:, None], columns.astype(int)]
