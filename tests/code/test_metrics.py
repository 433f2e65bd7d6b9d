"""Figures worked out on paper, and a slow literal implementation that must agree with the histograms."""

import numpy as np
import pytest

from r2mrf.evaluation.metrics import THRESHOLDS, Counts, count, f_adaptive, f_at, f_measure, precision_recall

B = 255  # defocused, in a mask


def counts_of(*pairs) -> Counts:
    counts = Counts()
    for defocus, mask in pairs:
        counts.add(np.array(defocus, np.uint8), np.array(mask, np.uint8))
    return counts


def summary_of(*pairs) -> dict:
    return counts_of(*pairs).summary()


# Image 1. Sorted by value, with the truth:  255 (defocused)  153 (sharp)  102 (defocused)  0 (sharp)
MAP_1, MASK_1 = [[255, 153], [0, 102]], [[B, 0], [0, B]]
# Image 2. 255 (sharp)  102 (defocused)  0  0
MAP_2, MASK_2 = [[255, 102], [0, 0]], [[0, B], [0, 0]]


def test_mae():
    # image 1: |1−1| + |0.6−0| + |0−0| + |0.4−1| = 1.2, over 4 pixels 0.3
    # image 2: 1 + 0.6 + 0 + 0 = 1.6, over 4 pixels 0.4
    assert summary_of((MAP_1, MASK_1))["mae"] == pytest.approx(0.3)
    assert summary_of((MAP_1, MASK_1), (MAP_2, MASK_2))["mae"] == pytest.approx(0.35)


def test_mae_averages_images_not_pixels():
    # one image of 1 pixel all wrong, one of 4 pixels all right: mean over images 1/2, over pixels it would be 1/5
    assert summary_of(([[255]], [[0]]), ([[0, 0], [0, 0]], [[0, 0], [0, 0]]))["mae"] == 0.5


@pytest.mark.parametrize(
    ("k", "precision", "recall"),
    [
        (0, 2 / 4, 2 / 2),  # every pixel is >= 0
        (1, 2 / 3, 2 / 2),
        (102, 2 / 3, 2 / 2),  # a pixel at the threshold counts
        (103, 1 / 2, 1 / 2),
        (153, 1 / 2, 1 / 2),
        (154, 1 / 1, 1 / 2),
        (255, 1 / 1, 1 / 2),
    ],
)
def test_precision_and_recall(k, precision, recall):
    p, r = precision_recall(count(np.uint8(MAP_1), np.uint8(MASK_1)))
    assert (p[k], r[k]) == (precision, recall)


def test_f_measure_weighs_precision():
    # 1.3 · p · r / (0.3 p + r)
    f = f_measure(np.array([1.0, 0.5, 0.0, 0.0, 1.0]), np.array([0.5, 1.0, 0.0, 1.0, 1.0]))
    np.testing.assert_allclose(f, [0.65 / 0.8, 0.65 / 1.15, 0, 0, 1])


def test_f_at_one_half():
    # image 1 at 128: 255 and 153 are predicted, p = r = 1/2, so F = 1/2
    # image 2 at 128: only the sharp pixel is predicted, F = 0
    assert f_at(count(np.uint8(MAP_1), np.uint8(MASK_1)), 128) == pytest.approx(0.5)
    assert summary_of((MAP_1, MASK_1), (MAP_2, MASK_2))["f_05"] == pytest.approx(0.25)


def test_one_half_is_between_127_and_128():
    assert summary_of(([[128, 0]], [[B, 0]]))["f_05"] == 1
    assert summary_of(([[127, 0]], [[B, 0]]))["f_05"] == 0


def test_f_max_of_image_averaged_curves():
    # k          image 1          image 2         mean                   F = 1.3 p r / (0.3 p + r)
    # 0          p 1/2  r 1       p 1/4  r 1      p 3/8   r 1            0.4875 / 1.1125 = 0.43820
    # 1 … 102    p 2/3  r 1       p 1/2  r 1      p 7/12  r 1            (1.3 · 7/12) / (0.175 + 1) = 0.64539
    # 103 … 153  p 1/2  r 1/2     p 0    r 0      p 1/4   r 1/4          1/4
    # 154 … 255  p 1    r 1/2     p 0    r 0      p 1/2   r 1/4          0.1625 / 0.4 = 0.40625
    counts = counts_of((MAP_1, MASK_1), (MAP_2, MASK_2))
    precision, recall = counts.curve()
    assert precision[[0, 50, 150, 200]] == pytest.approx([3 / 8, 7 / 12, 1 / 4, 1 / 2])
    assert recall[[0, 50, 150, 200]] == pytest.approx([1, 1, 1 / 4, 1 / 4])
    assert counts.summary()["f_max"] == pytest.approx(1.3 * 7 / 12 / 1.175)
    # it is not the mean of each image's best: those are F(2/3, 1) = 0.72222 against F(1, 1/2) = 0.8125, and F(1/2, 1)
    best = [counts_of((m, g)).summary()["f_max"] for m, g in ((MAP_1, MASK_1), (MAP_2, MASK_2))]
    assert best == pytest.approx([0.65 / 0.8, 0.65 / 1.15])


def test_f_adaptive():
    # mean of image 1 is (1 + 0.6 + 0 + 0.4) / 4 = 0.5, threshold 0.75: only 255 is predicted, p 1, r 1/2, F 0.8125
    assert f_adaptive(count(np.uint8(MAP_1), np.uint8(MASK_1))) == pytest.approx(0.8125)
    # mean of image 2 is 1.4 / 4 = 0.35, threshold 0.525: only the wrong pixel is predicted
    assert summary_of((MAP_1, MASK_1), (MAP_2, MASK_2))["f_adaptive"] == pytest.approx(0.8125 / 2)


def test_f_adaptive_reaches_the_threshold_with_equality():
    # values 150, 100, 150, 0: mean 100, threshold 150, reached by two pixels, one of them defocused: p 1/2, r 1
    assert summary_of(([[150, 100], [150, 0]], [[B, 0], [0, 0]]))["f_adaptive"] == pytest.approx(0.65 / 1.15)


def test_f_adaptive_threshold_is_capped_at_one():
    # mean (255 · 3 + 254) / 1020 > 2/3, so 1.5 × it would be beyond every pixel; capped, the three at 255 count
    assert summary_of(([[255, 255], [255, 254]], [[B, B], [B, 0]]))["f_adaptive"] == 1


def test_iou_is_pooled_over_pixels():
    # image 1 at 0.5: both 1, either {255, 153, 102} 3. image 2: both 0, either 2. pooled 1/5; a mean would be 1/6
    assert summary_of((MAP_1, MASK_1))["iou"] == pytest.approx(1 / 3)
    assert summary_of((MAP_1, MASK_1), (MAP_2, MASK_2))["iou"] == pytest.approx(1 / 5)


def test_mask_is_binarised_above_one_half():
    # 127/255 < 0.5 < 128/255
    assert count(np.uint8([[0, 0]]), np.uint8([[127, 128]])).positive == 1
    assert summary_of(([[0, 255]], [[127, 128]])) == summary_of(([[0, 255]], [[0, 255]]))


def test_sharp_image_found_sharp_is_perfect():
    summary = summary_of((np.zeros((3, 3)), np.zeros((3, 3))))
    assert summary == {
        **{"mae": 0, "f_max": 1, "f_adaptive": 1, "f_05": 1, "iou": 1},
        **{"images": 1, "images_without_defocus": 1},
    }


def test_sharp_image_with_a_weak_map_is_right_from_its_highest_value_on():
    # at thresholds above 100 nothing is predicted; 1.5 × the mean (50) is 75: a pixel is predicted, wrongly
    summary = summary_of(([[100, 0]], [[0, 0]]))
    assert summary["f_05"] == summary["f_max"] == summary["iou"] == 1
    assert summary["f_adaptive"] == 0
    assert summary["mae"] == pytest.approx(50 / 255)


def test_sharp_image_found_defocused_is_wrong():
    summary = summary_of((np.full((3, 3), 255), np.zeros((3, 3))))
    assert (summary["f_max"], summary["f_adaptive"], summary["f_05"], summary["iou"]) == (0, 0, 0, 0)
    assert summary["mae"] == 1
    assert summary["images_without_defocus"] == 1


def test_sharp_image_counts_in_the_means():
    # a perfect image, and a sharp one wrongly called defocused: (1 + 0) / 2
    right, wrong = ([[255, 0]], [[B, 0]]), ([[255, 255]], [[0, 0]])
    summary = summary_of(right, wrong)
    assert (summary["f_05"], summary["images"], summary["images_without_defocus"]) == (0.5, 2, 1)


def test_defocused_image():
    all_defocused = np.full((3, 3), B)
    found = summary_of((all_defocused, all_defocused))
    assert found["f_max"] == found["f_adaptive"] == found["f_05"] == found["iou"] == 1
    assert (found["mae"], found["images_without_defocus"]) == (0, 0)
    missed = summary_of((np.zeros((3, 3)), all_defocused))
    assert (missed["f_05"], missed["iou"], missed["mae"]) == (0, 0, 1)


def test_no_stretching_per_image():
    # a map that never exceeds 0.4 stays below one half
    assert summary_of(([[102, 0]], [[B, 0]]))["f_05"] == 0


def test_order_does_not_matter_and_one_by_one_is_all_at_once():
    rng = np.random.default_rng(0)
    pairs = [rng.integers(0, 256, (2, 5, 4)).astype(np.uint8) for _ in range(6)]
    forward, backward = counts_of(*pairs).summary(), counts_of(*pairs[::-1]).summary()
    joined = Counts([count(*pair) for pair in pairs]).summary()
    assert joined == forward
    assert backward == pytest.approx(forward)


@pytest.mark.parametrize(
    ("defocus", "mask", "words"),
    [
        (np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8), "resize"),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8), "H×W"),
        (np.zeros((4, 4), np.float32), np.zeros((4, 4), np.uint8), "8-bit"),
        (np.zeros((4, 4), np.uint8), np.zeros((4, 4), bool), "8-bit"),
    ],
    ids=["sizes", "colour", "float map", "boolean mask"],
)
def test_wrong_input(defocus, mask, words):
    with pytest.raises(ValueError, match=words):
        Counts().add(defocus, mask)


def test_nothing_to_compare():
    with pytest.raises(ValueError, match="no image"):
        Counts().summary()


# --- the protocol, word for word, pixel by pixel -----------------------------------------------------------


def literal_rates(found: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    both = (found & truth).sum()
    precision = both / found.sum() if found.any() else float(not truth.any())
    recall = both / truth.sum() if truth.any() else float(not found.any())
    return precision, recall


def literal_f(precision: float, recall: float) -> float:
    return 1.3 * precision * recall / (0.3 * precision + recall) if precision * recall else 0.0


def literal_summary(pairs) -> dict[str, float]:
    """The pinned protocol; maps as numbers in [0, 1], thresholds compared with >=."""
    maps = [defocus / 255 for defocus, _ in pairs]
    truths = [mask / 255 > 0.5 for _, mask in pairs]
    rates = np.array([[literal_rates(p >= k, g) for k in THRESHOLDS] for p, g in zip(maps, truths, strict=True)])
    precision, recall = rates.mean(axis=0).T
    halves = [(p >= 0.5, g) for p, g in zip(maps, truths, strict=True)]
    # 1.5 × the mean is a fraction of whole numbers: compared as such, free of rounding
    thresholds = [min(3 * int(m.sum(dtype=int)), 2 * 255 * m.size) for m, _ in pairs]
    adaptive = [(2 * m.size * m.astype(int) >= t, g) for (m, _), t, g in zip(pairs, thresholds, truths, strict=True)]
    both = sum((p & g).sum() for p, g in halves)
    either = sum((p | g).sum() for p, g in halves)
    return {
        "mae": np.mean([np.abs(p - g).mean() for p, g in zip(maps, truths, strict=True)]),
        "f_max": max(literal_f(p, r) for p, r in zip(precision, recall, strict=True)),
        "f_adaptive": np.mean([literal_f(*literal_rates(p, g)) for p, g in adaptive]),
        "f_05": np.mean([literal_f(*literal_rates(p, g)) for p, g in halves]),
        "iou": both / either if either else 1.0,
    }


@pytest.mark.parametrize("seed", range(12))
def test_histograms_agree_with_the_literal_protocol(seed):
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(4):
        shape = tuple(rng.integers(1, 9, 2))
        levels = rng.choice([2, 5, 256])  # few levels: many ties with thresholds
        defocus = (rng.integers(0, levels, shape) * (255 // (levels - 1))).astype(np.uint8)
        defocus[0, 0] = max(defocus[0, 0], 1)  # maps of nothing but 0: see test_sharp_image_found_sharp_is_perfect
        mask = rng.integers(0, 256, shape).astype(np.uint8) if rng.random() < 0.8 else np.zeros(shape, np.uint8)
        pairs.append((defocus, mask))
    got = counts_of(*pairs).summary()
    expected = literal_summary(pairs)
    assert {name: got[name] for name in expected} == pytest.approx(expected)
