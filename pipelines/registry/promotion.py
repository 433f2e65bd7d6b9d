"""Decides whether a model becomes `@champion`: good enough by itself, and better than the present champion."""

from __future__ import annotations

from r2mrf.config import Registry

FIGURES = ("f_05", "mae")  # the figures that decide


def reason_against(registry: Registry, challenger: dict[str, float], champion: dict[str, float] | None) -> str | None:
    """Return why the challenger may not become champion, naming the parameters that decide; None if it may.

    Args:
        registry: the thresholds and the margin.
        challenger, champion: `FIGURES` of both, measured on the same test pairs; None: there is no champion yet.
    """
    f_05, mae = (challenger[name] for name in FIGURES)
    reasons = []
    if not f_05 >= registry.least_f_05:  # written so that NaN fails, too
        reasons.append(f"f_05 {f_05:.4f} is below registry.least_f_05 {registry.least_f_05:g}")
    if not mae <= registry.most_mae:
        reasons.append(f"mae {mae:.4f} is above registry.most_mae {registry.most_mae:g}")
    if champion and not (f_05 > champion["f_05"] and f_05 >= champion["f_05"] + registry.margin):
        reasons.append(
            f"f_05 {f_05:.4f} is not above the champion's {champion['f_05']:.4f} by registry.margin {registry.margin:g}"
        )
    return "; ".join(reasons) or None
