"""Profile of torch's forward pass: by part of the network, by operation, and by shape of convolution."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity

from benchmarks.harness.figures import Figure
from r2mrf.network.model import R2MRF

SHOWN = 10  # operations, and shapes
MOST_ELSEWHERE = 10.0  # per cent of the time that an operation which is no convolution may take


@torch.inference_mode()
def profile(name: str, network: R2MRF, x: Tensor, peak: float, repeats: int) -> Iterator[Figure]:
    """Yield the figures; `peak`: floating-point operations per second of a large matrix product, for comparison."""
    network, x = (thing.to(memory_format=torch.channels_last) for thing in (network, x))
    network(x)
    for part, shares in _by_part(network, x, repeats).items():
        yield Figure(f"{name}: time by part", part, "%", shares)
    with torch.profiler.profile(activities=[ProfilerActivity.CPU], record_shapes=True, with_flops=True) as recorded:
        for _ in range(repeats):
            network(x)
    operations = recorded.key_averages()
    whole = sum(operation.self_cpu_time_total for operation in operations)
    for operation in sorted(operations, key=lambda o: -o.self_cpu_time_total)[:SHOWN]:
        share = 100 * operation.self_cpu_time_total / whole
        is_convolution = "conv" in operation.key
        reach = {} if is_convolution else {"at_most": MOST_ELSEWHERE}
        yield Figure(f"{name}: time by operation", operation.key.removeprefix("aten::"), "%", [share], **reach)
    shapes = [event for event in recorded.key_averages(group_by_input_shape=True) if event.key == "aten::conv2d"]
    for event in sorted(shapes, key=lambda event: -event.cpu_time_total)[:SHOWN]:
        seconds, share = event.cpu_time_total / 1e6, 100 * event.cpu_time_total / whole
        speed = event.flops / seconds
        note = f"{share:.1f} % of the time, at {speed / 1e9:.1f} GFLOP/s"
        yield Figure(f"{name}: convolutions by shape", _shape(event.input_shapes), "of the peak", [speed / peak], note)


def _shape(shapes: list[list[int]]) -> str:
    (_, inputs, height, width), (outputs, each, kernel, _) = shapes[:2]
    kind = "depthwise " if each == 1 and inputs > 1 else ""
    return f"{kind}{kernel}×{kernel}, {inputs} to {outputs} channels, {height}×{width}"


def _by_part(network: R2MRF, x: Tensor, repeats: int) -> dict[str, list[float]]:
    """Return the percentage of a forward pass spent in each part, for each repeat; the rest is fusion and enlarging."""
    parts = {"backbone": network.backbone, "AMDF": network.amdf}
    parts |= {f"branch {i + 1}": branch for i, branch in enumerate(network.branches)}
    shares = defaultdict[str, list[float]](list)
    for _ in range(repeats):
        with _stopwatch(parts) as seconds:
            began = time.perf_counter()
            network(x)
            whole = time.perf_counter() - began
        seconds["fusion and the rest"] = whole - sum(seconds.values())
        for name, value in seconds.items():
            shares[name].append(100 * value / whole)
    return shares


@contextmanager
def _stopwatch(modules: dict[str, nn.Module]) -> Iterator[dict[str, float]]:
    """Count the seconds spent in the forward of each module."""
    seconds: dict[str, float] = {}
    hooks = []
    for name, module in modules.items():
        hooks.append(module.register_forward_pre_hook(lambda *_, name=name: _begin(seconds, name)))
        hooks.append(module.register_forward_hook(lambda *_, name=name: _end(seconds, name)))
    yield seconds
    for hook in hooks:
        hook.remove()


def _begin(seconds: dict[str, float], name: str) -> None:
    seconds[name] = -time.perf_counter()


def _end(seconds: dict[str, float], name: str) -> None:
    seconds[name] += time.perf_counter()
