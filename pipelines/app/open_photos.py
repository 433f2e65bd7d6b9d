"""The photos that are open in the page, decoded, with what has been computed of them."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from r2mrf.errors import UserError
from r2mrf.imaging import images
from r2mrf.imaging.maps import to_uint8
from r2mrf.imaging.preprocess import visible
from r2mrf.imaging.resize import resize
from r2mrf.prediction.analyser import Analyser
from r2mrf.prediction.radius import to_hundredths
from r2mrf.prediction.record import read_guarded
from r2mrf.prediction.views import View
from r2mrf.system import missing
from r2mrf.system.sandbox import MEMORY, SECONDS, Guard

if TYPE_CHECKING:
    from r2mrf.prediction.predictor import Predictor

KEPT = 512 * 2**20  # bytes of photos with their maps; when another one is opened, the oldest are closed
PIXELS = (480, 640, 960, 1280, 1920, 2560, 3840, 5120, 7680)  # views to choose from, between the whole photo and 1:1


class NotOpen(UserError):
    """No photo is open under this name."""


@dataclass
class OpenPhoto:
    """A photo, uint8 H×W×3 as displayed, with its maps by view (uint8 H×W) and its radius (uint16 H×W)."""

    rgb: np.ndarray
    maps: dict[View, np.ndarray] = field(default_factory=dict)
    radius: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        """The memory that the photo takes, with what has been computed of it."""
        found = [self.rgb, *self.maps.values(), *([] if self.radius is None else [self.radius])]
        return sum(pixels.nbytes for pixels in found)

    @property
    def views(self) -> list[View]:
        """The views to choose from, from the smallest to 1:1."""
        long_side = max(self.rgb.shape[:2])
        return ["whole", *(pixels for pixels in PIXELS if pixels < 0.9 * long_side), "full"]


class OpenPhotos:
    """Opens photos, and computes one thing at a time: the network takes all cores anyway.

    Photos are decoded in a process of their own, with the limits of the registered model's server.

    Args:
        analyser: makes the maps.
    """

    def __init__(self, analyser: Analyser):
        self.analyser = analyser
        self._guard = Guard(images.decode, SECONDS, MEMORY)
        self._with_network: Predictor | None = None  # its torch module computes the steps
        self._photos: dict[str, OpenPhoto] = {}
        self._one_at_a_time = threading.Lock()

    def open(self, data: bytes) -> tuple[str, OpenPhoto]:
        """Decode a photo's file; return the name under which it is open, which nobody can guess, and the photo.

        Raises:
            images.ImageError: the photo cannot be used.
        """
        with self._one_at_a_time:
            photo = OpenPhoto(read_guarded(self._guard, data))
            name = secrets.token_urlsafe(16)
            self._photos[name] = photo
            while len(self._photos) > 1 and sum(other.nbytes for other in self._photos.values()) > KEPT:
                del self._photos[next(iter(self._photos))]  # the oldest
            return name, photo

    def get(self, name: str) -> OpenPhoto:
        """Return an open photo.

        Raises:
            NotOpen: it was closed, or was never open.
        """
        if name not in self._photos:
            raise NotOpen("this photo is no longer open: open it again")
        return self._photos[name]

    def map_of(self, name: str, view: View) -> np.ndarray:
        """Return the map of an open photo, uint8 H×W, as `r2mrf map --view` writes it.

        Raises:
            UserError: it is not open, or there is no such view.
        """
        photo = self.get(name)
        with self._one_at_a_time:
            if view not in photo.maps:
                photo.maps[view] = to_uint8(self.analyser(photo.rgb, view))
            return photo.maps[view]

    def radius_of(self, name: str) -> np.ndarray:
        """Return the blur radius of an open photo, uint16 H×W, as `r2mrf map --radius` writes it.

        Raises:
            NotOpen: it is not open.
        """
        photo = self.get(name)
        with self._one_at_a_time:
            if photo.radius is None:
                photo.radius = to_hundredths(self.analyser.blur_radius(photo.rgb))
            return photo.radius

    def steps_of(self, name: str) -> list[np.ndarray]:
        """Return the fused maps of an open photo after t = 0 … T recurrent steps, uint8 h×w, with sides up to the
        network's input size.

        Raises:
            UserError: it is not open, or torch is not installed.
        """
        photo = self.get(name)
        with self._one_at_a_time:
            return [to_uint8(step) for step in self._recurrent_steps(photo.rgb)]

    def close(self) -> None:
        """End the process that decodes photos."""
        self._guard.close()

    def _recurrent_steps(self, rgb: np.ndarray) -> list[np.ndarray]:
        try:
            import torch
        except ModuleNotFoundError:
            raise UserError(missing.sentence("the view of the steps", "torch")) from None

        from r2mrf.prediction.predictor import Predictor

        if self._with_network is None:
            ours = self.analyser
            self._with_network = ours if isinstance(ours, Predictor) else Predictor.load("lite")
        network, preprocess = self._with_network.network, self._with_network.preprocess
        with torch.inference_mode():
            sides = network(torch.from_numpy(preprocess.normalise(preprocess.shrink(rgb)[None]))).sides
            fused = [network.fuse(side).sigmoid()[0, 0].numpy() for side in sides]
        size, (height, width) = preprocess.size, rgb.shape[:2]
        scale = min(size / max(height, width), 1)
        shown = max(round(height * scale), 1), max(round(width * scale), 1)
        return [resize(visible(resize(step, size, size), height, width), *shown).clip(0, 1) for step in fused]
