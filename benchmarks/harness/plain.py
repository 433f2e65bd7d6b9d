"""Plain alternatives to `r2mrf score`, as a user would write them: functions from files to photos per second.

All run the network as torch does (float32), on all cores, and keep a mean of each map, as a table would.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from benchmarks.harness.apart import processes
from pipelines.cluster.ray_cluster import LOGICAL_CPUS, connect
from r2mrf.prediction.predictor import Predictor
from r2mrf.system.machine import cores

BATCH = 8


def loop(files: list[Path], model: str) -> float:
    """Run the loop that one would write first: Pillow, one photo after the other."""
    torch.set_num_threads(cores())
    predictor = Predictor.load(model)
    network = predictor.network.to(memory_format=torch.contiguous_format)

    @torch.inference_mode()
    def one(file: Path) -> float:
        return float(network(torch.from_numpy(_input(file, predictor)[None])).fused.sigmoid().mean())

    one(files[0])
    began = time.perf_counter()
    for file in files:
        one(file)
    return len(files) / (time.perf_counter() - began)


class Photos(torch.utils.data.Dataset):
    """Read photos as the network's input, 3×S×S."""

    def __init__(self, files: list[Path], predictor: Predictor):
        self.files, self.predictor = files, predictor

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> torch.Tensor:
        return torch.from_numpy(_input(self.files[i], self.predictor))


@torch.inference_mode()
def data_loader(files: list[Path], model: str) -> float:
    """Run torch's DataLoader with one worker per core, in batches, channels-last.

    As in `ray_data`, the time is counted from the end of the first batch to the end of the last, so starting the
    workers does not count, and there must be more photos than one batch.
    """
    torch.set_num_threads(cores())
    predictor = Predictor.load(model)
    photos = Photos(files, predictor)
    network = predictor.network.to(memory_format=torch.channels_last)
    came = []
    for batch in torch.utils.data.DataLoader(photos, BATCH, num_workers=cores()):
        network(batch.contiguous(memory_format=torch.channels_last)).fused.sigmoid().mean((1, 2, 3)).tolist()
        came.append(time.perf_counter())
    return (len(files) - BATCH) / (came[-1] - came[0])


def ray_data(files: list[Path], model: str) -> float:
    """Run Ray Data's `read_images` and `map_batches` with an actor, as its guide to batch inference shows it.

    The time counts from the first batch to the last, without starting Ray and loading the network."""
    import ray

    size = Predictor.load(model).preprocess.size
    with connect(logical_cpus=LOGICAL_CPUS):
        data = ray.data.read_images([str(file) for file in files], size=(size, size), mode="RGB")
        data = data.map_batches(
            Network, fn_constructor_args=(model,), compute=ray.data.ActorPoolStrategy(size=1), batch_size=BATCH
        )
        came = [(time.perf_counter(), len(batch["blur"])) for batch in data.iter_batches(batch_size=None)]
    (began, first), (ended, _) = came[0], came[-1]
    done = sum(number for _, number in came)
    assert done == len(files), f"{done} of {len(files)} photos came back"
    return (done - first) / (ended - began)


class Network:
    """The actor of `ray_data`."""

    def __init__(self, model: str):
        torch.set_num_threads(cores())
        self.predictor = Predictor.load(model)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        maps = self.predictor.engine(self.predictor.preprocess.normalise(batch["image"])).defocus
        return {"blur": maps.mean((1, 2))}


def laplacian(files: list[Path], model: str) -> float:
    """Run the well-known script: the variance of the Laplacian of the whole photo, in one process per core.

    It makes no map; it shows what decoding alone costs at least."""
    with processes(cores()) as pool:
        list(pool.map(_variance, _parts(files[:BATCH])))  # processes start
        began = time.perf_counter()
        list(pool.map(_variance, _parts(files)))
        return len(files) / (time.perf_counter() - began)


def _parts(files: list[Path]) -> Iterator[list[Path]]:
    return (files[start : start + BATCH] for start in range(0, len(files), BATCH))


def _variance(files: list[Path]) -> list[float]:
    cv2.setNumThreads(1)
    return [float(cv2.Laplacian(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE), cv2.CV_64F).var()) for file in files]


def _input(file: Path, predictor: Predictor) -> np.ndarray:
    size = predictor.preprocess.size
    small = np.asarray(Image.open(file).convert("RGB").resize((size, size), Image.Resampling.BOX))
    return np.ascontiguousarray(predictor.preprocess.normalise(small))
