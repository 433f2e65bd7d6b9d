"""Draws curves and grids of pictures as PNG files, without a screen."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm

from r2mrf.imaging import images
from r2mrf.imaging.resize import resize

BLUE, ORANGE, GREY = "#2a6f97", "#d97706", "#6b7280"
FRAME = "#d1d5db"  # around pictures, which may be as white as the page
COLORS = (BLUE, ORANGE, "#15803d", "#9333ea", GREY)  # in the order of the curves


def training_curves(history: list[dict], path: Path) -> None:
    """Plot the loss, and the validation figures if there are any, over the training steps."""
    steps = [row["step"] for row in history]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    left.plot(steps, [row["loss"] for row in history], color=BLUE, marker=".")
    left.set(title="Training loss", xlabel="step", ylabel="sum of cross-entropies", ylim=(0, None))
    if "val_f_05" in history[-1]:
        right.plot(steps, [row["val_f_05"] for row in history], color=BLUE, marker=".", label="F at 0.5")
        right.plot(steps, [row["val_mae"] for row in history], color=ORANGE, marker=".", label="MAE")
        right.legend(frameon=False)
    right.set(title="Photos held back", xlabel="step", ylim=(0, 1))
    _save(figure, path)


def curves(methods: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]], path: Path) -> None:
    """Plot precision over recall, and F over the threshold; `methods` maps names to (precision, recall, F)."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for (name, (precision, recall, f)), color in zip(methods.items(), COLORS, strict=False):
        best = int(f.argmax())
        left.plot(recall, precision, color=color)
        right.plot(np.arange(256) / 255, f, color=color, label=f"{name}: {f[best]:.3f} at {best / 255:.2f}")
        right.plot(best / 255, f[best], "o", color=color, markersize=4)
    left.set(title="Precision and recall", xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.01))
    right.legend(loc="lower left", fontsize=8, framealpha=0.9, edgecolor="none")
    right.set(title="F-measure", xlabel="threshold", ylabel="F (β² = 0.3)", xlim=(0, 1), ylim=(0, 1.01))
    _save(figure, path)


def over_steps(rows: list[dict], f: str, mae: str, path: Path, chosen: int | None = None) -> None:
    """Plot F and MAE, the values of these two keys, over the recurrent steps; `chosen` is marked."""
    rows = sorted(rows, key=lambda row: row["steps"])
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for axis, name, title, color in zip(axes, (f, mae), ("F at 0.5", "MAE"), (BLUE, ORANGE), strict=True):
        axis.plot([row["steps"] for row in rows], [row[name] for row in rows], "o", color=color)
        axis.set(title=title, xlabel="recurrent steps T", xticks=sorted({row["steps"] for row in rows}))
        if chosen is not None:
            axis.axvline(chosen, color=GREY, linestyle=":", label=f"T = {chosen}")
            axis.legend(frameon=False)
    _save(figure, path)


def losses(runs: dict[str, list[dict]], path: Path) -> None:
    """Plot the training losses of several runs (name -> history): the whole loss, and that of the fused map."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for axis, name, title in zip(axes, ("loss", "loss_fused"), ("Training loss", "of the fused map"), strict=True):
        for (run, history), color in zip(runs.items(), COLORS, strict=False):
            axis.plot([row["step"] for row in history], [row[name] for row in history], ".-", color=color, label=run)
        axis.set(title=title, xlabel="step", ylabel="cross-entropy", ylim=(0, None))
        axis.legend(frameon=False) if runs else None
    _save(figure, path)


def risk(curves: dict[str, np.ndarray], path: Path) -> None:
    """Plot risk-coverage curves by name: the mean error of the most confident photos over their share of all photos."""
    figure, axis = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
    for (name, curve), color in zip(curves.items(), COLORS, strict=False):
        axis.plot(np.arange(1, len(curve) + 1) / len(curve), curve, color=color, label=name)
    axis.set(title="Risk and coverage", xlabel="share of the photos, surest first", ylabel="mean MAE", ylim=(0, None))
    axis.legend(frameon=False)
    _save(figure, path)


def gallery(rows: list[tuple[str, list[np.ndarray]]], titles: list[str], path: Path, inches: float = 2.6) -> None:
    """Draw a grid with one row per photo, its caption on the left, and one column per title. Greys are 0 … 255.

    `inches` is the width of a column; a row's height follows its first picture, within limits.
    """
    shapes = [pictures[0].shape for _, pictures in rows]
    heights = [inches * min(max(shape[0] / shape[1], 0.4), 1.6) for shape in shapes]
    figure, axes = plt.subplots(
        len(rows),
        len(titles),
        figsize=(inches * len(titles), sum(heights) + 0.25),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for line, (caption, pictures) in zip(axes, rows, strict=True):
        for axis, picture in zip(line, pictures, strict=True):
            axis.imshow(picture, cmap="gray", vmin=0, vmax=255)
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(caption, fontsize=8)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=10)
    _save(figure, path, dpi=90)


def views(photo: np.ndarray, whole: np.ndarray, full: np.ndarray, radius: np.ndarray, path: Path) -> None:
    """Draw a photo, uint8 h×w×3, with its maps at the whole and the full view, float32 h×w, 1 = out of focus, and its
    blur radius, float32 h×w in pixels of the full photo, as colours with a scale."""
    width = 5.2
    size = 2 * width, 2 * width * photo.shape[0] / photo.shape[1] + 0.7
    figure, axes = plt.subplots(2, 2, figsize=size, layout="constrained")
    titles = (
        "photo",
        "map as a whole: white is out of focus",
        "map at full view, 1:1",
        "blur radius, pixels of the photo",
    )
    for axis, title, picture in zip(axes.flat, titles, (photo, 255 * whole, 255 * full), strict=False):
        axis.imshow(picture, cmap="gray", vmin=0, vmax=255)
        axis.set_title(title, fontsize=10)
    last = axes[1, 1]
    largest = float(np.nanmax(radius))
    shown = last.imshow(np.maximum(radius, 0.8), cmap="viridis", norm=LogNorm(0.8, max(largest, 1)))
    last.set_facecolor(GREY)  # where the radius is unknown
    last.set_title(titles[3], fontsize=10)
    ticks = [0.8, *(2.0**n for n in range(1, 10) if 2**n <= largest)]
    scale = figure.colorbar(shown, ax=axes[1, :], location="bottom", shrink=0.5, anchor=(1, 0), aspect=40, pad=0.02)
    scale.set_ticks(ticks, labels=["0", *(f"{tick:g}" for tick in ticks[1:])])
    scale.minorticks_off()
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    _save(figure, path, dpi=90)


def _save(figure, path: Path, dpi: int = 110) -> None:
    for axis in figure.axes:
        if axis.get_label() == "<colorbar>":
            continue
        if axis.images:
            axis.spines[:].set_color(FRAME)
            continue
        if not axis.patches and not any(len(line.get_xdata()) for line in axis.lines):
            axis.set(xticks=[], yticks=[])
            axis.text(0.5, 0.5, "not run", transform=axis.transAxes, ha="center", color=GREY)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25) if axis.lines else None
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi, metadata={"Software": None})  # the same figures give the same bytes
    plt.close(figure)


def histograms(columns: dict[str, np.ndarray], path: Path) -> None:
    """Plot one histogram for each column that has any values."""
    columns = {name: values for name, values in columns.items() if len(values)}
    figure, axes = plt.subplots(1, len(columns), figsize=(4.5 * len(columns), 3), squeeze=False, layout="constrained")
    for axis, (name, values) in zip(axes[0], columns.items(), strict=True):
        axis.hist(values, bins=30, color=BLUE)
        axis.set(xlabel=name, ylabel="photos")
    _save(figure, path)


def measured_over_true(kinds: dict[str, list[dict]], path: Path) -> None:
    """Plot measured radii (`median`, `low_16`, `high_84`) over true ones (`radius`), on logarithmic axes, by kind."""
    figure, axis = plt.subplots(figsize=(4.6, 4.4), layout="constrained")
    for (name, rows), color in zip(kinds.items(), COLORS, strict=False):
        known = [row for row in rows if row["median"] > 0]
        true, found, low, high = ([row[key] for row in known] for key in ("radius", "median", "low_16", "high_84"))
        axis.plot(true, found, "o-", color=color, markersize=4, label=name)
        axis.fill_between(true, np.maximum(low, 0.1), high, color=color, alpha=0.15)
    ends = [row["radius"] for rows in kinds.values() for row in rows]
    axis.plot([min(ends), max(ends)], [min(ends), max(ends)], color=GREY, linestyle=":", label="true")
    axis.set(xscale="log", yscale="log", xlabel="true radius, pixels", ylabel="measured radius, pixels")
    axis.legend(frameon=False)
    _save(figure, path)


def sheet(tiles: list[np.ndarray], across: int, path: Path, side: int = 120) -> None:
    """Write a contact sheet: tiles (uint8 H×W or H×W×3) resized to `side`×`side`, `across` in a row."""
    rows = []
    for start in range(0, len(tiles), across):
        row = [_tile(tile, side) for tile in tiles[start : start + across]]
        row += [np.full_like(row[0], 255)] * (across - len(row))
        rows.append(np.hstack(row))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_png(np.vstack(rows)))


def _tile(pixels: np.ndarray, side: int) -> np.ndarray:
    rgb = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    return np.pad(resize(rgb, side, side), ((2, 2), (2, 2), (0, 0)), constant_values=255)
