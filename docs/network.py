"""Draw the network for docs/method.md, with the side maps that the released weights make of a real photo."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from examples.recurrent_steps import probabilities_of
from r2mrf import Predictor, images
from r2mrf.imaging.resize import resize

BLUE, ORANGE, GREY, INK = "#2a6f97", "#d97706", "#e5e7eb", "#374151"
ROWS = (6.0, 5.0, 4.0, 3.0, 2.0)  # heights of the five branches, in inches of a figure 13.6 × 7.7
STEPS = {"1": 5.6, "2": 7.2, "T": 9.4}  # where the refinement steps stand
SIDE = 0.82  # of a small picture


def draw(photo: Path, path: Path) -> None:
    """Draw the network, from a photo to its map, and one refinement module below it."""
    rgb, predictor = images.load(photo), Predictor.load("lite")
    fused, branches = probabilities_of(predictor, rgb)
    figure, axis = plt.subplots(figsize=(13.6, 7.7))
    figure.subplots_adjust(0, 0, 1, 1)
    axis.set(xlim=(0, 13.6), ylim=(0, 7.7), aspect="equal")
    axis.axis("off")
    _features(axis, resize(rgb, 160, 160))
    for level, y in enumerate(ROWS):
        _branch(axis, y, level, branches[0][level].numpy(), branches[-1][level].numpy())
    _fusion(axis, fused[-1].numpy())
    _module(axis)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _features(axis: Axes, rgb: np.ndarray) -> None:
    """Draw backbone and AMDF, which every refinement module reads."""
    _picture(axis, 0.7, 4.0, rgb, "photo")
    for level, y in enumerate(ROWS):
        _box(axis, 2.2, y, 0.95, 0.62 - 0.08 * level, f"$F_{level + 1}$", GREY)
        _arrow(axis, (1.15, 4.0), (1.7, y))
        axis.plot([2.68, 3.0], [y, y], color=BLUE, lw=1.2)
    axis.text(2.2, 6.5, "backbone", ha="center", color=INK, fontsize=10)
    axis.plot([3.0, 3.0, 3.3], [ROWS[-1], 7.3, 7.3], color=BLUE, lw=1.2)
    amdf = r"AMDF:  $A = \mathrm{relu}(W_a * \mathrm{Cat}(F_1, \mathrm{Up}\,F_2, …, \mathrm{Up}\,F_5))$"
    _box(axis, 5.3, 7.3, 4.0, 0.5, amdf, "#dbeafe")
    axis.plot([7.3, STEPS["T"]], [7.3, 7.3], color=BLUE, lw=1.2)
    for x in STEPS.values():
        axis.plot([x, x], [7.05 if x < 7.3 else 7.3, ROWS[-1] + 0.25], color=BLUE, lw=1.2, zorder=0)


def _branch(axis: Axes, y: float, level: int, first: np.ndarray, last: np.ndarray) -> None:
    """Draw one level's side map and its refinement."""
    _picture(axis, 4.2, y, first, f"$O_{level + 1}^0$")
    _arrow(axis, (3.0, y), (3.76, y))
    axis.text(3.38, y + 0.08, "1×1, Up", ha="center", fontsize=7, color=INK)
    start = 4.63
    for name, x in STEPS.items():
        if name == "T":
            axis.text(start + 0.3, y, "· · ·", ha="center", va="center", color=INK)
            start += 0.6
        _box(axis, x, y, 0.72, 0.42, "RRM", "#ffedd5")
        plus = x + 0.72
        _arrow(axis, (start, y), (x - 0.38, y))
        _arrow(axis, (x + 0.38, y), (plus - 0.12, y))
        axis.plot([start + 0.08, start + 0.08, plus], [y, y - 0.33, y - 0.33], color=INK, lw=0.9, zorder=1)
        _arrow(axis, (plus, y - 0.33), (plus, y - 0.12))
        circle = {"boxstyle": "circle,pad=0.1", "fc": "w", "ec": INK}
        axis.text(plus, y, "+", ha="center", va="center", fontsize=11, bbox=circle)
        if level == 0:
            axis.text(x - 0.08, y + 0.4, f"t = {name}", ha="right", fontsize=9, color=INK)
        start = plus + 0.13
    _arrow(axis, (start, y), (10.76, y))
    _picture(axis, 11.2, y, last, f"$O_{level + 1}^T$")


def _fusion(axis: Axes, fused: np.ndarray) -> None:
    for y in ROWS:
        axis.plot([11.63, 11.95], [y, y], color=INK, lw=1)
    axis.plot([11.95, 11.95], [ROWS[-1], ROWS[0]], color=INK, lw=1)
    _arrow(axis, (11.95, 4.0), (12.2, 4.0))
    _picture(axis, 12.65, 4.0, fused, "map")
    fusion = "fusion\n" + r"$\sigma(\mathrm{Up}\; W_f * \mathrm{Cat}\, O_l^T)$"
    axis.text(12.65, 3.3, fusion, ha="center", va="top", fontsize=9, color=INK)


def _module(axis: Axes) -> None:
    """Draw a refinement module: two paths that exchange their features half-way."""
    axis.add_patch(FancyBboxPatch((3.3, 0.12), 8.3, 1.2, boxstyle="round,pad=0.02", fc="#fff7ed", ec=ORANGE, lw=1))
    axis.text(3.15, 0.72, "RRM", ha="right", va="center", fontsize=12, color=ORANGE, weight="bold")
    _box(axis, 4.35, 0.72, 1.6, 0.4, r"$\mathrm{Cat}(O_l^{t-1}, A)$", GREY)
    columns = ((6.2, "S_1", "P_1"), (8.4, "S_2", "P_2"))
    for x, upper, lower in columns:
        _box(axis, x, 1.05, 1.1, 0.38, f"${upper}$  3×3, relu", "#ffedd5")
        _box(axis, x, 0.39, 1.1, 0.38, f"${lower}$  5×5, relu", "#ffedd5")
    for start, end in (((5.17, 0.72), 5.63), ((6.77, None), 7.83), ((8.97, None), 9.5)):
        for y in (1.05, 0.39):
            if end == 9.5:
                _arrow(axis, (start[0], y), (end, 0.72))
            elif start[1]:
                _arrow(axis, start, (end, y))
            else:
                for other in (1.05, 0.39):
                    _arrow(axis, (start[0], y), (end, other))
    _box(axis, 9.85, 0.72, 0.66, 0.4, "1×1", GREY)
    _arrow(axis, (10.2, 0.72), (10.7, 0.72))
    axis.text(10.95, 0.72, "$R_l^t$", va="center", ha="center", fontsize=12, color=INK)


def _box(axis: Axes, x: float, y: float, width: float, height: float, text: str, color: str) -> None:
    corner = (x - width / 2, y - height / 2)
    axis.add_patch(FancyBboxPatch(corner, width, height, boxstyle="round,pad=0.02", fc=color, ec=INK, lw=0.8, zorder=2))
    axis.text(x, y, text, ha="center", va="center", fontsize=9, color=INK, zorder=3)


def _arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    style = {"arrowstyle": "-|>", "color": INK, "lw": 1, "shrinkA": 0, "shrinkB": 0}
    axis.annotate("", end, start, arrowprops=style, zorder=1)


def _picture(axis: Axes, x: float, y: float, pixels: np.ndarray, title: str) -> None:
    half = SIDE / 2
    axis.imshow(pixels, extent=(x - half, x + half, y - half, y + half), cmap="gray", vmin=0, vmax=1, zorder=2)
    axis.add_patch(plt.Rectangle((x - half, y - half), SIDE, SIDE, fill=False, ec=INK, lw=0.6, zorder=3))
    label = {"fc": "w", "ec": "none", "pad": 1, "alpha": 0.8}
    axis.text(x - half + 0.04, y + half - 0.05, title, va="top", fontsize=8, color=INK, zorder=4, bbox=label)
