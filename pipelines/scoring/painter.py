"""Paints the maps of scored photos."""

from __future__ import annotations

from dataclasses import replace

from pipelines.scoring.job import Job
from pipelines.scoring.scorer import ScoredPhoto
from r2mrf.imaging import images
from r2mrf.imaging.maps import to_uint8
from r2mrf.system.fingerprint import fingerprint


def painted(photos: list[ScoredPhoto], job: Job) -> list[ScoredPhoto]:
    """Return the photos with their maps as PNG files, if maps are asked for."""
    return [paint(photo, job) for photo in photos]


def paint(photo: ScoredPhoto, job: Job) -> ScoredPhoto:
    """Paint the map of a photo at its own size, as a PNG file named by the photo's content and the fingerprint."""
    row = photo.row
    if photo.defocus is None:
        return photo
    assert row.height is not None and row.width is not None  # a photo with a map was read
    pixels = to_uint8(job.preprocess.expand(photo.defocus, row.height, row.width))
    name = f"{fingerprint(row.content_sha256, job.fingerprint)[:32]}.png"
    return ScoredPhoto(replace(row, map=name), png=images.encode_png(pixels))
