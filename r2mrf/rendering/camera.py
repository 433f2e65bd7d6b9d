"""Processes linear light into a JPEG as a camera does: noise, sRGB, tone curve, sharpening."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


def to_linear(image: np.ndarray) -> np.ndarray:
    """Convert sRGB uint8 to linear light, float32 in [0, 1] (IEC 61966-2-1)."""
    code = np.arange(256) / 255
    table = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)
    return table[image]


def to_srgb(light: np.ndarray) -> np.ndarray:
    """Convert linear light to sRGB-encoded float32 in [0, 1], clipped (IEC 61966-2-1)."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** np.float32(1 / 2.4) - 0.055)


@dataclass(frozen=True)
class Camera:
    """Settings of a camera.

    Attributes:
        shot, read: the noise has the variance shot * light + read².
        contrast: strength, 0 to 1, of an S-curve on the encoded tones.
        sharpening: amount of an unsharp mask of sigma 0.8 pixels.
        quality: quality setting of the JPEG.
    """

    shot: float = 2e-4
    read: float = 2e-3
    contrast: float = 0.2
    sharpening: float = 0.3
    quality: int = 90

    def develop(self, light: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, bytes]:
        """Turn linear light H×W×3 into a JPEG file, and return its decoded pixels, uint8 RGB H×W×3, and the file."""
        noise = rng.standard_normal(light.shape, np.float32)
        tone = to_srgb(light + noise * np.sqrt(self.shot * np.maximum(light, 0) + self.read**2))
        tone += np.float32(self.contrast) * tone * (1 - tone) * (2 * tone - 1)
        if self.sharpening:
            tone += np.float32(self.sharpening) * (tone - cv2.GaussianBlur(tone, (0, 0), 0.8))
        pixels = np.rint(np.clip(tone, 0, 1) * 255).astype(np.uint8)
        flags = [cv2.IMWRITE_JPEG_QUALITY, self.quality]
        jpeg = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), flags)[1]
        decoded = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
        assert decoded is not None  # it was encoded just above
        return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), jpeg.tobytes()
