"""Ablations: each row is the network that it names; a row is measured once; what was not run says so."""

import csv
import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.ablate import ablate
from pipelines.evaluation import ablation_runs, measured_rows
from pipelines.evaluation.ablation_rows import STEPS, AblationRow, rows
from pipelines.evaluation.held_out import BRANCHES, branch_counts
from pipelines.evaluation.looks import LOOKS, looks
from pipelines.evaluation.measured_rows import MEASURED, measured
from r2mrf.config import Config, Model, load
from r2mrf.data import shards
from r2mrf.errors import UserError
from r2mrf.imaging import images
from r2mrf.network.cost import cost_of, parameters_of
from r2mrf.network.model import R2MRF
from r2mrf.training.trainer import Trainer

PARAMS = Path(__file__).parents[2] / "params.yaml"
TINY = {"amdf_width": 4, "width": 2, "input_size": 64, "weights": "random"}


def config(minutes: float = 0, profile: str = "lite") -> Config:
    given = load(PARAMS).model_copy(update={"profile": profile})
    values = given.but(model=TINY, train={"crop": 64}).model_dump()
    return Config.model_validate(values | {"ablate": {"minutes": minutes, "steps": 4, "validation": 1}})


def row(name: str, given: Config | None = None) -> AblationRow:
    return next(row for row in rows(given or config()) if row.name == name)


def model(name: str, **changes) -> Model:
    return row(name).config(config()).model.model_copy(update=changes)


def refinement_parameters(model: Model) -> int:
    """Count one module's parameters by hand: 3×3 and 5×5 on side and A, then on both paths, then 1×1; with biases."""
    m, a = model.width, model.amdf_width
    return m * ((1 + a) * (9 + 25) + 2 * m * (9 + 25) + 4) + 2 * m + 1


def head_parameters(model: Model) -> int:
    """Count the parameters of everything but backbone and refinement: A from five levels, five side maps, fusion."""
    channels = sum(R2MRF(model).backbone.channels)
    return (channels * model.amdf_width + model.amdf_width) + (channels + 5) + 6


@pytest.mark.parametrize("steps", STEPS)
def test_rows_of_steps_have_so_many(steps):
    ours = model(f"T{steps}")
    assert ours.steps == steps
    network = R2MRF(ours).eval()
    assert len(network(torch.zeros(1, 3, 64, 64)).sides) == steps + 1
    backbone = parameters_of(network.backbone)
    assert parameters_of(network) == backbone + head_parameters(ours) + 5 * (steps > 0) * refinement_parameters(ours)


def test_rows_of_steps_that_share_nothing_grow_by_a_module_a_branch():
    counts = [cost_of(model(f"T{steps}", share_steps=False)).parameters for steps in range(3)]
    assert np.diff(counts).tolist() == [5 * refinement_parameters(model("T1"))] * 2


def test_without_rrm_the_side_map_is_unchanged():
    full, without = model("full"), model("no_rrm")
    assert without == full.model_copy(update={"rrm": False})
    assert cost_of(full).parameters == cost_of(without).parameters
    networks = [R2MRF(m).eval() for m in (full, without)]
    networks[1].load_state_dict(networks[0].state_dict())
    x = torch.randn(1, 3, 64, 64)
    (before, refined), (_, direct) = (network(x).sides[:2] for network in networks)
    torch.testing.assert_close(refined, before + direct)


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("lite", [16, 24, 40, 112, 320]),
        ("lite1", [16, 24, 40, 112, 320]),
        ("lite2", [16, 24, 48, 120, 352]),
        ("vgg16", [128, 256, 512, 512, 512]),
        ("densenet161", [96, 384, 768, 2112, 2208]),
        ("resnext101", [64, 256, 512, 1024, 2048]),
    ],
)
def test_rows_of_backbones_have_that_backbone(name, channels):
    ours = row(name).config(config()).model.model_copy(update={"weights": "random"})
    assert R2MRF(ours).backbone.channels == channels
    assert row(name).needs_gpu == (not name.startswith("lite"))


def test_rows_of_larger_lite_backbones_differ_in_the_backbone_alone():
    lite = row("lite").config(config())
    for name in ("lite1", "lite2"):
        assert row(name).config(config()) == lite.but(model={"backbone": f"tf_efficientnet_{name}"})
    parameters = [cost_of(model(name)).parameters for name in ("lite", "lite1", "lite2")]
    assert parameters == sorted(set(parameters))


def test_rows_that_name_the_same_network_are_one():
    keys = {name: row(name).key(config(), "data") for name in ("full", "T6", "lite", "T4", "no_rrm", "full.1")}
    assert keys["full"] == keys["T6"] == keys["lite"]
    assert len(set(keys.values())) == 4
    assert row("full").key(config(), "other data") != keys["full"]


def test_a_repeated_row_has_other_random_numbers_and_the_same_pairs_held_back():
    first, second = (row(name).config(config()) for name in ("T1", "T1.1"))
    assert second.run_seed != first.run_seed
    assert second.but(train={"repeat": 0}) == first


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("unshared", {"model": {"share_steps": False}}),
        ("wide", {"model": {"width": 2 * TINY["width"]}}),
        ("wide_amdf", {"model": {"amdf_width": 2 * TINY["amdf_width"]}}),
        ("robust", {"train": {"robustness": 0.7}}),
        ("fine", {"model": {"grid_stride": 2}}),
        ("side_growing", {"train": {"side_growth": 2.0}}),
        ("side_small", {"train": {"side_weight": 0.086 / 10}}),
    ],
)
def test_rows_of_the_loss_and_of_modules_differ_in_that_alone(name, change):
    full, other = (row(n).config(config()) for n in ("full", name))
    assert other == full.but(**change)


def test_rows_begin_alike_whatever_training_starts_from():
    given = config().but(train={"start": "lite", "steps": 9999})
    assert row("T3").config(given).train.start == ""
    assert row("T3").config(given).train.steps == 4


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """Return a workspace with a few tiny pairs."""
    monkeypatch.chdir(tmp_path)
    rng, pairs, variants = np.random.default_rng(0), [], []
    for i in range(3):
        photo, mask = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), np.zeros((64, 64), np.uint8)
        mask[:, 20 * i :] = 255
        encoded = {"image": images.encode_png(photo), "mask": images.encode_png(mask), "source_id": str(i)}
        encoded["sha256"] = hashlib.sha256(encoded["image"] + encoded["mask"]).hexdigest()
        pairs.append(dict.fromkeys(shards.PAIRS.names) | encoded | {"split": "test"})
        variants.append(dict.fromkeys(shards.VARIANTS.names) | encoded | {"variant": 0})
    shards.write(tmp_path / "data/prepared/test-00000.parquet", pairs, shards.PAIRS, "of a test")
    shards.write(tmp_path / "data/augmented/train-00000.parquet", variants, shards.VARIANTS, "of a test")
    return tmp_path


def table() -> dict[str, dict]:
    with Path("reports/ablate/table.csv").open(newline="") as file:
        return {line["row"]: line for line in csv.DictReader(file)}


def test_without_a_budget_every_row_says_how_it_is_run(here, capsys):
    ablate(config(minutes=0))
    lines = table()
    assert list(lines) == [
        *("full", "O1", "O2", "O3", "O4", "O5", "no_rrm", "T0", "T1", "full.1", "no_rrm.1", "T0.1", "T1.1"),
        *("T2", "T3", "T4", "T6", "T8", "side_growing", "side_small", "side_last", "unshared"),
        *("wide", "wide_amdf", "fine", "robust"),
        *("full.2", "no_rrm.2", "T0.2", "T1.2", "lite", "lite1", "lite2", "vgg16", "densenet161", "resnext101"),
    ]
    for name, line in lines.items():
        assert line["status"] == "not run"
        assert line["f_05"] == line["seconds"] == ""
        owner = "full" if name in BRANCHES else name
        assert line["command"].startswith(f"python -m pipelines.ablate {owner} (")
    assert "needs a GPU" in lines["vgg16"]["command"]
    assert "| vgg16 |" in Path("reports/ablate/table.md").read_text()
    assert f"0 rows measured, {len(lines)} not run" in capsys.readouterr().out
    assert Path("reports/ablate/loss.png").is_file()
    assert Path("reports/ablate/steps.png").is_file()


def test_unknown_row():
    with pytest.raises(UserError, match="no row T9: the rows are full, no_rrm, T0"):
        ablate(config(), ["T9"])


@pytest.fixture
def trained(monkeypatch) -> list[str]:
    """Return the rows that were trained, in order; the training itself, which takes a minute each, is replaced."""
    done: list[str] = []

    def fit(config: Config, key: str, states, stage: str) -> Trainer:
        repeated = f".{config.train.repeat}" if config.train.repeat else ""
        done.append(f"T{config.model.steps}" + ("" if config.model.rrm else " without RRM") + repeated)
        states.files.create_dir(f"{states.root}/{states.name}")
        trainer = Trainer(config, key)
        trainer.step = config.train.steps
        rate = config.train.steps * config.train.batch / 60
        trainer.history = [{"step": trainer.step, "loss": 1.0, "loss_fused": 0.5, "images_per_second": rate}]
        return trainer

    monkeypatch.setattr(ablation_runs, "fit", fit)
    return done


def test_rows_are_run_until_the_budget_is_spent_and_never_twice(here, trained):
    ablate(config(minutes=2.5))
    assert trained == ["T6", "T6 without RRM", "T0"]  # the third begins within the budget
    lines = table()
    measured = {name for name, line in lines.items() if line["status"] == "measured"}
    assert measured == {"full", "T6", "lite", "O1", "O2", "O3", "O4", "O5", "no_rrm", "T0"}
    assert lines["full"]["seconds"] == "60.0"
    assert lines["full"]["epochs"] == str(round(4 * 16 / 3, 3))
    assert "3 training images without 1 pairs" in lines["full"]["learnt_from"]
    assert lines["full"] == lines["T6"] | {key: lines["full"][key] for key in ("row", "what", "command")}
    assert float(lines["O1"]["mae"]) != float(lines["full"]["mae"])
    before = json.loads(MEASURED.read_text())
    ablate(config(minutes=4.5))
    assert trained[3:] == ["T1", "T6.1"]
    after = json.loads(MEASURED.read_text())
    assert (len(before), len(after)) == (3, 5)
    assert before.items() <= after.items()
    ablate(config(minutes=0))
    assert trained[5:] == []
    assert table()["full.1"]["status"] == "measured"


def test_a_row_that_is_named_is_run_whatever_the_budget(here, trained):
    ablate(config(minutes=0), ["T3"])
    assert trained == ["T3"]
    lines = table()
    assert {name for name, line in lines.items() if line["status"] == "measured"} == {"T3"}


def test_a_row_of_other_parameters_is_not_taken_for_this_one(here, trained):
    ablate(config(), ["T3"])
    other = config().model_copy(update={"seed": 1})
    ablate(other)
    assert table()["T3"]["status"] == "not run"
    ablate(config())
    assert table()["T3"]["status"] == "measured"


def test_a_row_that_cannot_be_run_does_not_keep_others_from_it(here, trained, monkeypatch):
    fit = ablation_runs.fit

    def refuse(config: Config, *rest) -> Trainer:
        if not config.model.rrm:
            raise UserError("no weights to be had")
        return fit(config, *rest)

    monkeypatch.setattr(ablation_runs, "fit", refuse)
    ablate(config(minutes=2.5))
    assert table()["no_rrm"]["command"] == "python -m pipelines.ablate no_rrm (no weights to be had)"
    assert table()["T0"]["status"] == "measured"
    with pytest.raises(UserError, match="no weights to be had"):
        ablate(config(), ["no_rrm"])


def test_a_damaged_result_is_named(here, trained):
    ablate(config(), ["T3"])
    MEASURED.write_text(MEASURED.read_text()[:100])
    with pytest.raises(UserError, match=rf"{MEASURED} is damaged .*: delete it"):
        ablate(config())


def test_rows_that_are_kept_at_the_same_time_are_all_kept(here, monkeypatch):
    def slowly() -> dict:
        found = measured()
        time.sleep(0.1)
        return found

    monkeypatch.setattr(measured_rows, "measured", slowly)
    with ThreadPoolExecutor() as pool:
        list(pool.map(measured_rows.keep, [{name: {}} for name in "abc"]))
    assert measured().keys() == {*"abc"}


def test_rows_are_measured_on_the_test_pairs_apart_and_once(here, trained):
    ours = config()
    ours = Config.model_validate(ours.model_dump() | {"data": ours.data.model_dump() | {"source": "cuhk"}})
    ablate(ours, ["T3", "T0"])
    assert table()["T3"]["test_f_05"] == "" and not LOOKS.exists()
    ablate(ours, ["T3"], test=True)
    assert table()["T3"]["test_f_05"] != "" and table()["T0"]["test_f_05"] == ""
    ablate(ours, ["all"], test=True)
    ablate(ours, ["all"], test=True)
    assert trained == ["T0", "T3"]
    assert [look["model"].partition(",")[0] for look in looks()] == ["row T3", "row T0"]
    (held_back, test) = (json.loads(MEASURED.read_text()).popitem()[1][name] for name in ("figures", "test"))
    assert (held_back["fused"]["images"], test["O5"]["images"]) == (1, 3)


def test_test_pairs_that_are_rendered_are_not_counted(here, trained):
    ablate(config(), ["T3"])
    ablate(config(), ["T3"], test=True)
    assert table()["T3"]["test_f_05"] != "" and not LOOKS.exists()


def test_outputs_of_branches_are_those_of_the_last_step(here):
    trainer = Trainer(row("T2").config(config()), "of a test")
    pairs = shards.read(here / "data/prepared")
    counts = branch_counts(trainer.checkpoint({}), pairs)
    assert list(counts) == ["fused", "O1", "O2", "O3", "O4", "O5"]
    # fusion that listens to one branch alone says what that branch says
    with torch.no_grad():
        trainer.network.fusion.weight[:] = torch.eye(5)[2].reshape(1, 5, 1, 1)
    trainer.averaged.values = {name: value.detach().clone() for name, value in trainer.network.named_parameters()}
    again = branch_counts(trainer.checkpoint({}), pairs)
    assert again["fused"].summary()["mae"] == pytest.approx(again["O3"].summary()["mae"], abs=2e-3)
    assert again["O3"].summary() == counts["O3"].summary()


def test_what_is_kept_of_a_row_names_data_parameters_and_commit(here, trained):
    ablate(config(), ["T3"])
    ((key, found),) = json.loads(MEASURED.read_text()).items()
    assert {"commit", "data", "seed", "model", "recipe", "epochs", "seconds", "device", "figures"} <= found.keys()
    assert found["model"]["steps"] == 3 and found["recipe"]["steps"] == 4
    assert key == row("T3").key(config(), found["data"])


def test_a_row_measured_before_a_parameter_was_introduced_is_not_run_again(here, trained):
    ablate(config(), ["T3", "no_rrm"])
    older = json.loads(MEASURED.read_text())
    for key, row_then in list(older.items()):
        del row_then["recipe"]["side_growth"], row_then["model"]["fusion_relu"]
        older[f"older{key}"] = older.pop(key)
    MEASURED.write_text(json.dumps(older))
    ablate(config(), ["T3", "no_rrm"])
    assert sorted(trained) == ["T3", "T6 without RRM"]
    assert {name for name, line in table().items() if line["status"] == "measured"} == {"T3", "no_rrm"}


def test_a_row_about_a_new_parameter_is_not_one_that_was_measured_without_it(here, trained):
    ablate(config(), ["full"])
    older = json.loads(MEASURED.read_text())
    for row_then in older.values():
        del row_then["recipe"]["robustness"]
    MEASURED.write_text(json.dumps(older))
    ablate(config(), ["full", "robust"])
    assert len(trained) == 2
    assert {name for name, line in table().items() if line["status"] == "measured"} >= {"full", "robust"}
