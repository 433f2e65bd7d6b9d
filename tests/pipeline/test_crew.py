"""When bulk scoring leaves the threads of one process for Ray."""

import pytest

from pipelines.scoring.crew import MOST_COPIES, RAY_START, pays


@pytest.mark.parametrize(
    "copies, seconds, expected",
    [
        (MOST_COPIES, 3600, False),  # the threads keep every core busy, however long it takes
        (MOST_COPIES + 1, RAY_START - 1, False),  # the threads are done before Ray has started
        (MOST_COPIES + 1, RAY_START + 1, True),
    ],
)
def test_ray_takes_over_from_many_threads_with_much_to_do(copies, seconds, expected):
    assert pays(copies, seconds) is expected
