"""Runs the network on photos that were read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain

import numpy as np

from pipelines.scoring.job import Job
from pipelines.scoring.reader import ReadPhoto
from r2mrf.prediction import record
from r2mrf.prediction.analyser import Analyser, Analysis
from r2mrf.prediction.record import Shrunk


class Scorer:
    """Turns photos that were read into rows of the table; with maps, each row holds its small map as `defocus`."""

    def __init__(self, job: Job, threads: int):
        self.job, self.analyser = job, Analyser(job.preprocess, job.start(threads))

    def __call__(self, seen: list[ReadPhoto]) -> list[dict]:
        read = [s.shrunk for s in seen if s.shrunk]
        pictures = chain.from_iterable((shrunk.pixels, *(place.picture for place in shrunk.places)) for shrunk in read)
        analyses = self._analysed(list(pictures))
        return [self._row(s, s.shrunk, analyses) if s.shrunk else self._failed(s) for s in seen]

    def _analysed(self, pictures: list[np.ndarray]) -> Iterator[Analysis]:
        batch = self.job.options.batch
        for start in range(0, len(pictures), batch):
            yield from self.analyser.analyse_batch(np.stack(pictures[start : start + batch]))

    def _failed(self, seen: ReadPhoto) -> dict:
        assert seen.error is not None  # a photo without pixels has an error
        return self._base(seen) | {"status": "failed", "reason": seen.error.reason, "error": str(seen.error)}

    def _base(self, seen: ReadPhoto) -> dict:
        return {"path": seen.photo.path, "model": self.job.model, "model_sha256": self.job.sha256}

    def _row(self, seen: ReadPhoto, shrunk: Shrunk, analyses: Iterator[Analysis]) -> dict:
        """Return the row of a photo; its own analysis comes first, followed by those of its places."""
        analysis, options = next(analyses), self.job.options
        known = {name: getattr(shrunk, name) for name in ("width", "height", "contrast")}
        focus = record.focus_of(analysis, shrunk, options)
        maps = [next(analyses).defocus for _ in shrunk.places]
        row = self._base(seen) | known | asdict(focus) | record.detail_of(shrunk, maps, self.job.blur_scale)
        row |= asdict(shrunk.taken)
        row |= {"status": "ok", "content_sha256": shrunk.content_sha256}
        row["verdict"] = record.thresholds_of(options).verdict_of(row)
        return row | {"defocus": record.map_of(analysis, shrunk)} if options.maps else row
