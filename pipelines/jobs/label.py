"""Job label: labels real photos with a trained model, as additional pairs to train on.

    python -m pipelines.jobs.label          # photos below data.root, labelled by the model train.start -> data.labelled

`prepare` then adds these pairs to those that `composite` renders, and `train` continues from the model that labelled
them. Photos on the test side of the split are left out.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from pipelines.cluster.progress import progress
from pipelines.data.sources import IMAGES, MASKS, find_photos, sharp_sides
from pipelines.project.stage import main
from r2mrf.config import Config
from r2mrf.errors import UserError
from r2mrf.imaging import images
from r2mrf.prediction.predictor import Predictor
from r2mrf.rendering.sharp_photos import Sharp
from r2mrf.system.atomic import atomic_folder
from r2mrf.training.pseudo_labels import label


def label_photos(config: Config) -> None:
    """Write the pairs. They replace those of an earlier labelling, and nothing else."""
    if not (config.data.labelled and config.train.start):
        raise UserError("set data.labelled (the folder to write) and train.start (the model that labels)")
    folder = Path(config.data.labelled)
    if folder.is_dir() and (others := {path.name for path in folder.iterdir()} - {IMAGES, MASKS}):
        raise UserError(
            f"data.labelled {folder}: it contains {min(others)}, which was not written by labelling and would be "
            "deleted: choose a folder for the pairs alone"
        )
    predictor, sources = Predictor.load(config.train.start), _unrendered(config)
    kept = 0
    with atomic_folder(folder) as new:
        for name in (IMAGES, MASKS):
            (new / name).mkdir()
        for source in progress(sources, unit=" photos", desc="labelled"):
            if pair := label(predictor, source):
                name = quote(source.id, safe="")  # unlike with - for /, no two photos get one name
                (new / IMAGES / f"{name}.jpg").write_bytes(images.encode_jpeg(pair[0]))
                (new / MASKS / f"{name}.png").write_bytes(images.encode_png(pair[1]))
                kept += 1
    print(f"{folder}: {kept} of {len(sources)} photos are labelled; the model is too unsure of the others")


def _unrendered(config: Config) -> list[Sharp]:
    """Return the photos to label: whole photos, and crops with defocus of their own.

    Crops that are sharp throughout are left out, because composites are rendered from them.
    """
    found, _ = find_photos(Path(config.data.root))
    sides = sharp_sides(found, config.data, config.seed)
    tests = {source.group for source in sides["test"]}
    rendered = {source.id for source in sides["train"] if not source.segments}
    return [s for s in found if s.group not in tests and s.id not in rendered]


if __name__ == "__main__":
    main(label_photos)
