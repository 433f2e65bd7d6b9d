"""Runs the network on photos that were read, and paints their maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np

from pipelines.library.columns import Row
from pipelines.library.photo import Photo
from pipelines.scoring.job import ScoringJob
from pipelines.scoring.reader import ReadPhoto
from r2mrf.imaging import images
from r2mrf.imaging.maps import to_uint8
from r2mrf.prediction import record
from r2mrf.prediction.analyser import Analyser, Analysis
from r2mrf.prediction.record import Shrunk
from r2mrf.system.fingerprint import fingerprint


@dataclass(frozen=True)
class ScoredPhoto:
    """The row of a photo and, with maps, its map: `defocus` at the network's resolution, later `png` as painted."""

    row: Row
    defocus: np.ndarray | None = None
    png: bytes | None = None


class Scorer:
    """Turns photos that were read into rows of the table, and maps."""

    def __init__(self, job: ScoringJob, threads: int):
        self.job, self.analyser = job, Analyser(job.preprocess, job.start(threads))

    def __call__(self, seen: list[ReadPhoto]) -> list[ScoredPhoto]:
        """Score photos, of which each `Score.batch` make batches of their own, whatever comes before and after."""
        size = self.job.options.batch
        return [photo for start in range(0, len(seen), size) for photo in self._together(seen[start : start + size])]

    def _together(self, seen: list[ReadPhoto]) -> list[ScoredPhoto]:
        read = [s.shrunk for s in seen if s.shrunk]
        analyses = self._analysed([picture for shrunk in read for picture in record.pictures_of(shrunk)])
        return [self._scored(s.photo, s.shrunk, analyses) if s.shrunk else self._failed(s) for s in seen]

    def _analysed(self, pictures: list[np.ndarray]) -> Iterator[Analysis]:
        batch = self.job.options.batch
        for start in range(0, len(pictures), batch):
            yield from self.analyser.analyse_batch(np.stack(pictures[start : start + batch]))

    def _failed(self, seen: ReadPhoto) -> ScoredPhoto:
        assert seen.error is not None  # a photo without pixels has an error
        why = {"reason": seen.error.reason, "error": str(seen.error)}
        return ScoredPhoto(self._row(seen.photo, "failed", why))

    def _scored(self, photo: Photo, shrunk: Shrunk, analyses: Iterator[Analysis]) -> ScoredPhoto:
        """Return the row of a photo; its own analysis comes first, followed by that of its probe if it has one."""
        analysis, options = next(analyses), self.job.options
        probed = next(analyses).defocus if shrunk.probe else None
        known = asdict(record.focus_of(analysis, shrunk, options)) | asdict(shrunk.taken)
        known |= record.detail_of(shrunk, probed, self.job.blur_scale)
        known |= {name: getattr(shrunk, name) for name in ("width", "height", "content_sha256", "contrast")}
        known["verdict"] = record.thresholds_of(options).verdict_of(known)
        return ScoredPhoto(self._row(photo, "ok", known), record.map_of(analysis, shrunk) if options.maps else None)

    def _row(self, photo: Photo, status: str, known: dict) -> Row:
        return Row(
            path=photo.path,
            status=status,
            partner=photo.partner,
            model=self.job.model,
            model_sha256=self.job.sha256,
            **known,
        )


def painted(photos: list[ScoredPhoto], job: ScoringJob) -> list[ScoredPhoto]:
    """Return the photos with their maps as PNG files, if maps are asked for."""
    return [paint(photo, job) for photo in photos]


def paint(photo: ScoredPhoto, job: ScoringJob) -> ScoredPhoto:
    """Paint the map of a photo at its own size, as a PNG file named by the photo's content and the fingerprint."""
    row = photo.row
    if photo.defocus is None:
        return photo
    assert row.height is not None and row.width is not None  # a photo with a map was read
    pixels = to_uint8(job.preprocess.expand(photo.defocus, row.height, row.width))
    name = f"{fingerprint(row.content_sha256, job.fingerprint)[:32]}.png"
    return ScoredPhoto(replace(row, map=name), png=images.encode_png(pixels))
