"""Stage score, and `r2mrf score`: a library of photos -> a table, one row a photo.

    python -m pipelines.score          # score.source of params.yaml -> library/
    r2mrf score FOLDER --out DIR

Stopped or killed at any moment and started again, it does what is left: see `pipelines.library.ledger`. The names of
the table's files carry a fingerprint of the model and of every option that changes a number, so that other rows never
mix with these.
"""

from __future__ import annotations

from pipelines.library.samples import samples
from pipelines.project.folders import LIBRARY, MODEL
from pipelines.project.stage import main
from pipelines.scoring.run import score_library
from pipelines.storage.outputs import local_copy
from r2mrf.config import Config


def score(config: Config) -> None:
    """The stage: `score.source` -> library/."""
    sources = samples() if config.score.source == "samples" else [config.score.source]
    summary = score_library([str(source) for source in sources], LIBRARY, str(local_copy(MODEL)), config.score)
    print(f"{LIBRARY}: {summary['ok']} photos scored, {summary['failed']} failed")


if __name__ == "__main__":
    main(score)
