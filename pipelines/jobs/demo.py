"""Job demo: shows what a finished `dvc repro` has made and where to find it; `make demo` ends with it."""

from __future__ import annotations

from pathlib import Path

from pipelines.project.folders import LIBRARY, MODEL, REPORTS
from pipelines.project.stage import main
from pipelines.report import scored_folder
from r2mrf.config import Config
from r2mrf.system import strict_json

SHOWN = 20  # photos


def show(config: Config) -> None:
    """Print the results of all stages.

    Raises:
        UserError: nothing has been scored yet.
    """
    library = scored_folder.read(LIBRARY)
    figures = strict_json.parse_object((REPORTS / "evaluate" / "metrics.json").read_bytes())
    print("\nphoto                        blurred  in focus (x0 y0 x1 y1)   sure  verdict")
    for row in library.rows[:SHOWN]:
        name = Path(row.path).name
        if row.status == "ok":
            box = " ".join(f"{getattr(row, f'focus_{corner}'):5d}" for corner in ("x0", "y0", "x1", "y1"))
            print(f"{name:28} {row.blur_fraction:6.1%}  {box}  {row.confidence:5.2f}  {row.verdict}")
        else:
            print(f"{name:28} failed: {row.error}")
    print(f"\nmodel      {MODEL}  ({library.summary['model']})")
    quality = f"on the test pairs: F {figures['f_05']:.3f}, MAE {figures['mae']:.3f}"
    print(f"figures    {REPORTS}/evaluate/metrics.json  ({quality})")
    print(f"pictures   {REPORTS}/evaluate/gallery.png, curves.png; {REPORTS}/train/history.png")
    counts = f"{library.summary['ok']} photos scored, {library.summary['failed']} failed"
    print(f"table      {LIBRARY}/scores/*.parquet  ({counts})")
    print(f"maps       {LIBRARY}/maps/*.png")
    print(f"runs       .venv/bin/mlflow ui --backend-store-uri {config.tracking.uri}")
    print("your own   .venv/bin/r2mrf map PHOTO -o map.png")


if __name__ == "__main__":
    main(show)
