"""A search whose driver is killed goes on: finished trials are not done again, others go on from their states."""

import json
import re
import time
from pathlib import Path

from planted import BEST, PLANTED, plain_figures
from test_train import PATIENCE, Run


class Search(Run):
    """The planted search, one trial after the other."""

    stage = "tune"

    def __init__(self, root: Path):
        super().__init__(root, workers=1)
        self.set(PLANTED)
        self.set({"tune": {"at_once": 1, "budget": 8, "grace": 8}})

    def await_words(self, pattern: str) -> None:
        end = time.monotonic() + 2 * PATIENCE
        while not re.search(pattern, self.said(), re.S):
            assert time.monotonic() < end and self.driver.poll() is None, self.said()[-3000:]
            time.sleep(0.05)

    def end(self) -> dict:
        assert self.driver.wait(3 * PATIENCE) == 0, self.said()[-3000:]
        return json.loads((self.root / "reports/tune/steps.json").read_text())


def test_driver_killed_amid_the_second_trial(tmp_path):
    with Search(tmp_path) as search:
        search.start()
        search.await_words(r"trial steps_2: F ")
        search.await_words(r"trial steps_4: begins.*step 3/8:")
        search.kill()
        before = search.said()
        search.start()
        found = search.end()
        after = search.said().removeprefix(before)
        assert "trial steps_2: begins" not in after
        assert "trial steps_4: begins or goes on" in after
        assert len(re.findall(r"step 1/8:", after)) == 1  # of the third trial alone: the second went on
        assert found["steps"] == BEST
        assert [trial["status"] for trial in found["trials"]] == ["finished"] * 3
        for trial in found["trials"]:
            assert abs(trial["val_f_05"] - plain_figures(search)[trial["steps"]]) < 2e-3
        assert not list((search.root / "runs").iterdir())
