"""The rule for the number of recurrent steps: F first, then MAE, then the smallest."""

import pytest

from pipelines.training.enough_steps import Reached, enough_steps


@pytest.mark.parametrize(
    ("reached", "tolerance", "chosen"),
    [
        ({0: (0.90, 0.12), 1: (0.90, 0.10), 6: (0.90, 0.10)}, 0.005, 1),  # equal F: MAE decides
        ({0: (0.90, 0.105), 1: (0.90, 0.10)}, 0.005, 0),  # within the tolerance, exactly
        ({0: (0.90, 0.106), 1: (0.90, 0.10)}, 0.005, 1),  # and beyond it
        ({1: (0.80, 0.05), 2: (0.90, 0.10)}, 0.005, 2),  # a small MAE does not make up for a low F
        ({1: (0.899, 0.11), 2: (0.88, 0.09), 4: (0.90, 0.13)}, 0.005, 1),  # MAE is compared among those with a good F
        ({6: (0.5, 0.5)}, 0.005, 6),
    ],
)
def test_the_smallest_that_is_as_good_as_the_best(reached, tolerance, chosen):
    assert enough_steps({steps: Reached(*figures) for steps, figures in reached.items()}, tolerance) == chosen
