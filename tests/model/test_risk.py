"""Risk-coverage curves, against counting by hand."""

import numpy as np
import pytest

from r2mrf.evaluation.risk import excess_area, risk_coverage


def test_the_surest_photos_come_first():
    curve = risk_coverage(np.array([0.4, 0.1, 0.2]), np.array([0.5, 0.9, 0.7]))
    assert curve == pytest.approx([0.1, 0.15, 0.7 / 3])


def test_equal_confidences_come_in_no_order():
    errors, sure = np.array([0.0, 0.4, 0.2]), np.array([0.5, 0.5, 0.9])
    assert risk_coverage(errors, sure) == pytest.approx([0.2, 0.2, 0.2])
    assert risk_coverage(errors[[1, 0, 2]], sure[[1, 0, 2]]) == pytest.approx([0.2, 0.2, 0.2])


def test_excess_is_zero_for_a_perfect_and_one_for_a_useless_confidence():
    errors = np.random.default_rng(0).random(50)
    assert excess_area(errors, -errors) == pytest.approx(0)
    assert excess_area(errors, np.full(50, 0.5)) == pytest.approx(1)
    assert excess_area(errors, errors) > 1
    assert np.isnan(excess_area(np.full(5, 0.3), np.arange(5)))


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="one length"):
        risk_coverage(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match="1 or more"):
        risk_coverage(np.zeros(0), np.zeros(0))
