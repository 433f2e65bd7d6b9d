"""summary.json: the counts of a scored folder, and everything that the numbers in its rows depend on."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from pipelines.library.ledger import Ledger
from pipelines.project.tables import write_json
from pipelines.scoring.job import ScoringJob
from r2mrf.prediction.record import VERSION, thresholds_of
from r2mrf.system import strict_json
from r2mrf.system.regular_files import read_regular

FILE = "summary.json"


def write(out: Path, ledger: Ledger, job: ScoringJob, left_out: dict[str, int], rate: float | None) -> dict:
    """Write the summary of a run and return it.

    Args:
        left_out: pictures that were not scored, by reason.
        rate: photos per second; None if there was nothing to do, in which case the previous run's rate is kept.
    """
    before = last(out)
    if rate is None and before.get("fingerprint") == job.fingerprint:
        rate = before.get("images_per_second")
    summary = ledger.counts() | {
        "images_per_second": rate,
        "left_out": dict(sorted(left_out.items())),
        **depends_on(job),
        "fingerprint": job.fingerprint,
        **asdict(thresholds_of(job.options)),
    }
    write_json(out / FILE, summary)
    return summary


def last(out: Path) -> dict:
    """Return the summary of the last run; empty if there is none, or if it cannot be read."""
    try:
        return strict_json.parse_object(read_regular(out / FILE, strict_json.MOST_BYTES))
    except (OSError, ValueError):
        return {}


def depends_on(job: ScoringJob) -> dict:
    """Return the facts on which the numbers in a job's rows depend, by name."""
    options = job.options
    of_options = {"max_pixels": options.max_pixels, "maps": options.maps, "detail": options.detail}
    model = {"model": job.model, "model_sha256": job.sha256, "engine": job.engine, "precision": job.precision}
    return model | {"record": VERSION} | of_options


def why_anew(out: Path, job: ScoringJob, ledger: Ledger) -> str | None:
    """Return a sentence if the rows in `out` are kept but not continued, because this job would give other numbers."""
    before = last(out)
    if ledger.listed() or not before or before.get("fingerprint") == job.fingerprint:
        return None
    now = depends_on(job)
    if before.get("model_sha256") == job.sha256:
        del now["model"]  # one model may have several names
    names = [name for name in now if name in before and before[name] != now[name] and name != "model_sha256"]
    reasons = [change(name, before[name], now[name]) for name in names]
    if "record" not in before:
        reasons.append("version 0.1 treated borders, small photos and contrast differently (docs/scoring.md)")
    if not reasons:
        reasons.append("the model has another blur scale or int8 form")
    return f"{out}: its {before.get('total')} rows stay, and all photos are scored again, because {'; '.join(reasons)}"


def change(name: str, before: object, now: object) -> str:
    """Say how an option or another fact differs from that of the last run."""
    if isinstance(now, bool):
        return f"`--{name}` was {'given before and is not now' if before else 'not given before and is now'}"
    said = {"max_pixels": "`--max-pixels`", "record": "the version of the record"}.get(name, f"the {name}")
    return f"{said} was {before} before and is {now} now"
