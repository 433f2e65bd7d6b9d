"""The rule by which `tune` chooses the number of recurrent steps, and by which docs/results.md reads the ablation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Reached(NamedTuple):
    """Figures on the held-back photos."""

    f: float  # at threshold 0.5
    mae: float


def enough_steps(reached: Mapping[int, Reached], tolerance: float) -> int:
    """Return the smallest T that is as good as the best.

    Of all T, those are kept whose F is within the tolerance of the best F; of these, those whose MAE is within the
    tolerance of their smallest MAE. F comes first, but it compares only which side of 0.5 each pixel is on: networks
    with equal F can differ in how sure and how right their maps are, which MAE measures.

    Args:
        reached: T -> figures; not empty.
        tolerance: differences up to this one count as none.
    """
    tolerance += 1e-9  # a difference of exactly the tolerance is within it
    best = max(figures.f for figures in reached.values())
    good = {steps: figures for steps, figures in reached.items() if figures.f >= best - tolerance}
    least = min(figures.mae for figures in good.values())
    return min(steps for steps, figures in good.items() if figures.mae <= least + tolerance)
