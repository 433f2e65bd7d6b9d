"""Job label: real photos, labelled by a trained model, as further pairs to train on.

    python -m pipelines.jobs.label          # photos below data.root, by the model train.start -> data.labelled

`prepare` then adds them to what `composite` renders, and `train` goes on from the model that labelled them. Photos of
the test side are left out.
"""

from __future__ import annotations

from pathlib import Path

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
    """Write the pairs; they take the place of those of an earlier labelling, and of nothing else."""
    if not (config.data.labelled and config.train.start):
        raise UserError("set data.labelled, the folder to write, and train.start, the model that labels")
    folder = Path(config.data.labelled)
    if folder.is_dir() and (others := {path.name for path in folder.iterdir()} - {IMAGES, MASKS}):
        raise UserError(
            f"data.labelled {folder}: holds {min(others)}, which no labelling wrote, and would be replaced: "
            "give a folder of its own"
        )
    predictor, sources = Predictor.load(config.train.start), _unrendered(config)
    kept = 0
    with atomic_folder(folder) as new:
        for name in (IMAGES, MASKS):
            (new / name).mkdir()
        for source in progress(sources, unit=" photos", desc="labelled"):
            if pair := label(predictor, source):
                name = source.id.replace("/", "-")
                (new / IMAGES / f"{name}.jpg").write_bytes(images.encode_jpeg(pair[0]))
                (new / MASKS / f"{name}.png").write_bytes(images.encode_png(pair[1]))
                kept += 1
    print(f"{folder}: {kept} of {len(sources)} photos; of the others the model is too unsure")


def _unrendered(config: Config) -> list[Sharp]:
    """Photos to label: whole ones, and of crops those that are not sharp throughout, with defocus of their own.

    The other crops would only say again what composites say.
    """
    found, _ = find_photos(Path(config.data.root))
    sides = sharp_sides(found, config.data, config.seed)
    tests = {source.group for source in sides["test"]}
    rendered = {source.id for source in sides["train"] if not source.segments}
    return [s for s in found if s.group not in tests and s.id not in rendered]


if __name__ == "__main__":
    main(label_photos)
