"""Stage score, and `r2mrf score`: turns a library of photos into a table, one row per photo.

    python -m pipelines.score          # score.source of params.yaml -> library/
    r2mrf score FOLDER --out DIR

It can be stopped or killed at any moment; started again, it does the rest (see `pipelines.library.ledger`). The names
of the table's files carry a fingerprint of the model and of every option that changes a number, so rows of different
models or options never mix.
"""

from __future__ import annotations

from pipelines.project.folders import LIBRARY, MODEL
from pipelines.project.samples import samples
from pipelines.project.stage import main
from pipelines.scoring.supervised_run import score_library
from pipelines.storage.outputs import local_copy
from r2mrf.config import Config


def score(config: Config) -> None:
    """Run the stage: score `score.source` into library/."""
    sources = samples() if config.score.source == "samples" else [config.score.source]
    summary = score_library([str(source) for source in sources], LIBRARY, str(local_copy(MODEL)), config.score)
    print(f"{LIBRARY}: {summary['ok']} photos scored, {summary['failed']} failed")


if __name__ == "__main__":
    main(score)
