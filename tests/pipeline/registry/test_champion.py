"""Who becomes champion: the latest model that is good enough, and better than the champion by the margin."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipelines.registry import promotion
from r2mrf.errors import UserError
from r2mrf.evaluation.metrics import Counts
from r2mrf.imaging import images
from r2mrf.imaging.maps import to_uint8
from r2mrf.prediction.predictor import Predictor
from tests.support.team import REGISTRY


@pytest.mark.parametrize(
    ("challenger", "champion", "passes"),
    [
        ((0.5, 0.3), None, True),  # both thresholds are reached
        ((0.4999, 0.3), None, False),
        ((0.5, 0.3001), None, False),
        ((float("nan"), 0.1), None, False),
        ((0.9, 0.1), (0.88, 0.05), True),  # by more than the margin; a worse mae is allowed
        ((0.9, 0.1), (0.895, 0.1), False),  # better, but by less
        ((0.9, 0.1), (0.9, 0.2), False),
        ((0.9, 0.1), (0.95, 0.1), False),
        ((0.45, 0.1), (0.1, 0.1), False),  # better than a bad champion, and still not good enough
    ],
)
def test_gate(challenger, champion, passes):
    figures = [dict(zip(promotion.FIGURES, pair, strict=True)) if pair else None for pair in (challenger, champion)]
    said = promotion.reason_against(REGISTRY, *figures)
    assert (said is None) == passes
    if said:
        assert "\n" not in said
        assert any(figure in said for figure in promotion.FIGURES)


def test_challenger_moves_always_champion_by_the_margin_only(team):
    assert team.aliases() == {"challenger": "2", "champion": "1"}
    assert team.version("1").tags["gate"] == "passed"
    assert "is not above the champion's" in team.version("2").tags["gate"]
    report = json.loads(Path("reports/register/metrics.json").read_text())
    assert (report["champion"], report["gate"]) == (False, team.version("2").tags["gate"])


def test_known_weights_are_not_registered_again(team, capsys):
    team.train(1, f_05=0.8)
    team.register()
    assert team.aliases() == {"challenger": "1", "champion": "1"}
    assert capsys.readouterr().out == "models:/r2mrf/1 is the champion\n"


def test_the_champion_is_measured_again_on_other_test_pairs(team, capsys):
    team.pairs(1)
    try:
        team.train(2, f_05=0.99)
        before = team.version("1").tags
        team.register()
        after = team.version("1").tags
        assert before["test_set"] != after["test_set"] == team.version("2").tags["test_set"]
        predictor, counts = Predictor.load("models:/r2mrf/1"), Counts()
        for row in team.test_pairs().to_pylist():
            counts.add(to_uint8(predictor(images.decode(row["image"]))), images.decode_mask(row["mask"]))
        assert float(after["f_05"]) == counts.summary()["f_05"] != float(before["f_05"])
        assert team.aliases() == {"challenger": "2", "champion": "2"}
        assert "models:/r2mrf/1, the champion, was evaluated on other test pairs" in capsys.readouterr().out
    finally:
        team.pairs(0)


def test_figures_of_another_model(team):
    team.train(3, f_05=0.9, model="another")
    with pytest.raises(UserError, match=r"belongs to model another, not .*: run `dvc repro evaluate` again"):
        team.register()


def test_figures_of_test_pairs_that_are_gone(team):
    team.train(1, f_05=0.8, test_set="of last week")
    MlflowClient().set_registered_model_alias("r2mrf", "champion", "2")
    with pytest.raises(UserError, match="to other test pairs than data/prepared"):
        team.register()
