"""Published protocols: against PySODMetrics itself, against slow literal readings of the others, and by hand."""

import numpy as np
import py_sod_metrics as sod
import pytest

from pipelines.command.grammar.evaluate import PROTOCOLS
from r2mrf.evaluation import protocols
from r2mrf.evaluation.metrics import Counts

B = 255


def drawn(seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Smooth maps and masks that differ a little, a flat map, a sharp photo, and a soft mask."""
    rng = np.random.default_rng(seed)
    pairs = []
    for i in range(5):
        y, x = np.mgrid[:31, :43] / 31
        distance = np.hypot(y - rng.random(), x - rng.random())
        mask = np.where(distance > 0.5, B, 0).astype(np.uint8)
        defocus = (255 * np.clip(distance + rng.normal(0, 0.2, mask.shape) * (i > 0), 0.05 * i, 1)).astype(np.uint8)
        pairs.append((defocus, mask))
    flat, soft = np.full((31, 43), 200, np.uint8), rng.integers(0, 256, (31, 43)).astype(np.uint8)
    return [*pairs, (flat, pairs[0][1]), (pairs[1][0], np.zeros_like(flat)), (pairs[2][0], soft)]


def figures(pairs, name: str, positive=None) -> dict:
    found = protocols.named(name, positive)
    for defocus, mask in pairs:
        found.add(defocus, mask)
    return found.summary()


# --- PySODMetrics --------------------------------------------------------------------------------------------------


def by_pysod(pairs, normalize: bool = True) -> dict:
    f = sod.FmeasureV2(
        {
            "f": sod.FmeasureHandler(with_dynamic=True, with_adaptive=True, with_binary=True),
            "p": sod.PrecisionHandler(with_dynamic=True, with_adaptive=False),
            "r": sod.RecallHandler(with_dynamic=True, with_adaptive=False),
            "iou": sod.IOUHandler(with_dynamic=False, with_adaptive=False, with_binary=True, sample_based=False),
        }
    )
    mae = sod.MAE()
    for defocus, mask in pairs:
        given = (defocus, mask) if normalize else (defocus / 255, mask > 127)
        f.step(*given, normalize=normalize)
        mae.step(*given, normalize=normalize)
    found = f.get_results()
    return {"mae": mae.get_results()["mae"], **{f"{a}_{b}": found[a][b] for a in found for b in found[a]}}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("positive", ["defocus", "focus"])
def test_pysod(seed, positive):
    pairs = drawn(seed)
    theirs = by_pysod(pairs if positive == "defocus" else [(255 - p, 255 - g) for p, g in pairs])
    assert figures(pairs, "pysod", positive) == {
        **{"protocol": "pysod", "positive": positive, "images": len(pairs)},
        "mae": pytest.approx(theirs["mae"]),
        "f_max": pytest.approx(theirs["f_dynamic"].max()),
        "f_mean": pytest.approx(theirs["f_dynamic"].mean()),
        "f_adaptive": pytest.approx(theirs["f_adaptive"]),
    }


@pytest.mark.parametrize("seed", range(3))
def test_our_own_figures_are_those_of_pysod_without_its_stretching(seed):
    """Compare: f_adaptive differs (factor 1.5, not 2), and so do photos without any defocus (0 in PySODMetrics)."""
    pairs = [(defocus, mask) for defocus, mask in drawn(seed) if mask.any()]
    theirs = by_pysod(pairs, normalize=False)
    counts = Counts()
    for pair in pairs:
        counts.add(*pair)
    ours = counts.summary()
    assert (ours["mae"], ours["f_05"], ours["iou"]) == pytest.approx(
        (theirs["mae"], theirs["f_binary"], theirs["iou_binary"])
    )
    precision, recall = counts.curve()
    np.testing.assert_allclose(precision, theirs["p_dynamic"][::-1])  # theirs begin at the highest threshold
    np.testing.assert_allclose(recall, theirs["r_dynamic"][::-1])


# --- the others, literally -----------------------------------------------------------------------------------------


def f_of(precision: float, recall: float) -> float:
    return 1.3 * precision * recall / (0.3 * precision + recall) if precision + recall else 0.0


def rates(found: np.ndarray, truth: np.ndarray, epsilon: float = 0.0) -> tuple[float, float]:
    both = (found & truth).sum() + epsilon
    wholes = (found.sum() + epsilon, truth.sum() + epsilon)
    return tuple(both / whole if whole else 0.0 for whole in wholes)


def literal_r3net(pairs) -> dict:
    curves = np.array([[rates(p / 255 > k / 255, g / 255 > 0.5, 1e-4) for k in range(256)] for p, g in pairs])
    return {
        "mae": np.mean([np.abs(p / 255 - g / 255).mean() for p, g in pairs]),
        "f_max": max(f_of(*point) for point in curves.mean(0)),
    }


def literal_d_dffnet(pairs) -> dict:
    """Return the figures of D-DFFNet's programs, whose maps show focus and which invert both after binarising."""
    binary = [(~((255 - p) / 255 > 0.5), ~((255 - g) / 255 > 0.5)) for p, g in pairs]
    f = [f_of(*rates(p, g)) for p, g in binary]
    either = sum((p | g).sum() for p, g in binary)
    return {
        "mae": np.mean([np.abs(p / 255 - g) for (p, _), (_, g) in zip(pairs, binary, strict=True)]),
        "f_05": np.mean(f),
        "f_05_or_all": np.mean([max(x, f_of(*rates(p | True, g))) for x, (p, g) in zip(f, binary, strict=True)]),
        "iou": sum((p & g).sum() for p, g in binary) / either,
    }


def literal_dd(pairs) -> dict:
    focus = [(255 - p, 255 - g) for p, g in pairs]
    binary = [[(side > min(1.5 * side.mean(), 255)).ravel() for side in pair] for pair in focus]
    pixels = [np.concatenate(sides) for sides in zip(*binary, strict=True)]
    return {
        "mae": np.mean([np.abs(p / 255 - g / 255).mean() for p, g in pairs]),
        "f_adaptive": f_of(*rates(*pixels)),
    }


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "literal"), [("r3net", literal_r3net), ("d-dffnet", literal_d_dffnet), ("dd", literal_dd)]
)
def test_a_literal_reading(seed, name, literal):
    pairs = drawn(seed)
    ours = figures(pairs, name)
    assert ours.pop("protocol") == name
    assert ours.pop("positive") == ("focus" if name == "dd" else "defocus")
    assert ours.pop("images") == len(pairs)
    assert ours == pytest.approx(literal(pairs))


# --- where they differ, by hand ------------------------------------------------------------------------------------


def one(defocus: list, mask: list, name: str) -> dict:
    return figures([(np.array([defocus], np.uint8), np.array([mask], np.uint8))], name)


def test_a_pale_map_is_stretched_by_pysod_alone():
    assert one([40, 60], [0, B], "pysod")["mae"] == 0
    for name in ("r3net", "d-dffnet", "dd"):
        assert one([40, 60], [0, B], name)["mae"] == pytest.approx((40 + 195) / 255 / 2)


def test_a_sharp_photo_found_sharp_is_right_by_our_own_protocol_alone():
    sharp = [0, 0], [0, 0]
    assert one(*sharp, "r2mrf")["f_05"] == 1
    assert one(*sharp, "d-dffnet")["f_05"] == one(*sharp, "pysod")["f_max"] == 0


def test_a_mask_that_is_white_on_two_thirds_is_empty_for_dd():
    """Two of three pixels are in focus: 1.5 × their mean is 255, and nothing lies above."""
    assert one([0, 0, B], [0, 0, B], "dd")["f_adaptive"] == 0
    assert one([0, B, B], [0, B, B], "dd")["f_adaptive"] == 1


def test_calling_everything_blurred_may_be_better_in_d_dffnets_test():
    found = one([0, 0, B, 0], [B, B, B, 0], "d-dffnet")
    assert found["f_05"] == pytest.approx(f_of(1, 1 / 3))
    assert found["f_05_or_all"] == pytest.approx(f_of(3 / 4, 1))


def test_no_such_protocol():
    with pytest.raises(ValueError, match=r"choose from r2mrf, r3net, d-dffnet, pysod, dd"):
        protocols.named("sod")
    with pytest.raises(ValueError, match="defocus only"):
        protocols.named("r2mrf", "focus")


@pytest.mark.parametrize("name", protocols.PROTOCOLS)
def test_wrong_input(name):
    with pytest.raises(ValueError, match="resize"):
        protocols.named(name).add(np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8))
    with pytest.raises(ValueError, match="no image"):
        protocols.named(name).summary()


def test_the_command_offers_all():
    assert list(PROTOCOLS) == [protocols.OWN, *protocols.PROTOCOLS]
