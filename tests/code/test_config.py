"""params.yaml becomes a Config, or one line says what is wrong with it."""

import copy
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from r2mrf.config import Config, ConfigError, load

PARAMS = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture(scope="module")
def values() -> dict:
    return yaml.safe_load(PARAMS.read_text(encoding="utf-8"))


@pytest.fixture
def load_with(values, tmp_path):
    """Load the repository's parameters with some of them set (dotted name -> value) or, given None, left out."""

    def load_changed(**changes) -> Config:
        changed = copy.deepcopy(values)
        for name, value in changes.items():
            *sections, key = name.split("__")
            section = changed
            for part in sections:
                section = section[part]
            if value is None:
                del section[key]
            else:
                section[key] = value
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(changed), encoding="utf-8")
        return load(path)

    return load_changed


def message(call, *args, **changes) -> str:
    with pytest.raises(ConfigError) as caught:
        call(*args, **changes)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_repository_parameters_load():
    config = load(PARAMS)
    assert config.data.train * config.augment.variants == 9664


@pytest.mark.parametrize("profile", ["lite", "paper"])
def test_profile_chooses_model_and_recipe(load_with, values, profile):
    config = load_with(profile=profile)
    assert config.model.backbone == values[profile]["model"]["backbone"]
    assert config.train.steps == values[profile]["train"]["steps"]


def test_rate_in_scientific_notation_without_a_point(load_with):
    # YAML 1.1 reads 1e-3 as a string; `dvc exp run -S lite.train.lr=1e-3` writes just that
    assert load_with(lite__train__lr="1e-3").train.lr == 1e-3


@pytest.mark.parametrize("text", ["data: {{root}}", "? [a, b]", "a: [", "? {b: 1}"])
def test_a_file_that_is_not_yaml_is_one_sentence(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"params\.yaml: not valid YAML"):
        load(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("2024-02-30", "timestamp"),
        ("!!timestamp secret", "timestamp"),
        ("!!int secret", "int"),
        ("!!int ''", "int"),
        ("!!float secret", "float"),
        ("!!float ''", "float"),
        ("!!bool secret", "bool"),
    ],
)
def test_a_value_that_is_not_of_its_type_is_one_sentence_without_the_value(tmp_path, value, kind):
    (tmp_path / "params.yaml").write_text(f"seed: 1\na: {value}\n")
    with pytest.raises(ConfigError, match=rf"params\.yaml: not valid YAML: line 2, column 4: not a valid {kind}$"):
        load(tmp_path / "params.yaml")


def test_config_is_frozen():
    config = load(PARAMS)
    with pytest.raises(ValidationError):
        config.seed = 1
    with pytest.raises(ValidationError):
        config.lite.model.steps = 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", -1),
        ("profile", "huge"),
        ("data__source", "imagenet"),
        ("data__size", 31),
        ("data__train", 0),
        ("augment__min_scale", 1.5),
        ("augment__max_rotation", -1),
        ("lite__model__steps", 17),
        ("lite__model__steps", -1),
        ("lite__model__grid_stride", 3),
        ("lite__model__width", 0),
        ("lite__model__input_size", 5000),
        ("lite__model__steps", "automatic"),
        ("tune__tolerance", 0.0),
        ("tune__reduction", 1.0),
        ("ablate__minutes", -1.0),
        ("evaluate__baseline_pairs", 1),
        ("lite__train__ema", 1.0),
        ("lite__train__lr", -0.1),
        ("lite__train__lr", float("inf")),
        ("lite__train__lr", float("nan")),
        ("lite__train__warmup", 1.1),
        ("lite__train__optimizer", "adam"),
        ("paper__train__precision", "fp8"),
        ("registry__name", "a/b"),
        ("registry__margin", 0.0),
        ("registry__most_mae", 1.5),
        ("score__sharp_below", -0.1),
    ],
)
def test_value_out_of_range(load_with, name, value):
    text = message(load_with, **{name: value})
    assert name.replace("__", ".") in text
    assert repr(value) in text


@pytest.mark.parametrize("name", ["tracking__uri", "tracking__states", "storage"])
def test_passwords_do_not_belong_into_a_file_that_is_committed(load_with, name):
    text = message(load_with, **{name: "s3://me:hidden@bucket/x"})
    assert f"{name.replace('__', '.')}: it holds a password" in text
    assert "hidden" not in text
    load_with(**{name: "s3://me@bucket/x"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", "many"),
        ("seed", 1.5),
        ("lite__model__steps", [6]),
        ("lite__model__rrm", "perhaps"),
        ("lite__model__backbone", 18),
        ("lite__train__lr", "fast"),
        ("tune__steps", []),
        ("tune__steps", 6),
        ("tune__grid_stride", [3]),
        ("score", 3),
    ],
)
def test_value_of_wrong_type(load_with, name, value):
    assert name.replace("__", ".") in message(load_with, **{name: value})


@pytest.mark.parametrize("name", ["lite__model__stepz", "train", "score__max_pixel"])
def test_unknown_key(load_with, name):
    text = message(load_with, **{name: 1})
    assert f"unknown parameter {name.replace('__', '.')}:" in text


@pytest.mark.parametrize("name", ["seed", "score", "paper__train__lr", "lite__model__backbone", "lite__model__rrm"])
def test_missing_key(load_with, name):
    assert f"parameter {name.replace('__', '.')} is missing" in message(load_with, **{name: None})


def test_all_mistakes_in_one_message(load_with):
    text = message(load_with, seed=-1, data__size=1, score__batches=2)
    assert "seed" in text
    assert "data.size" in text
    assert "score.batches" in text


def test_every_worker_has_something_to_do(load_with):
    text = message(load_with, lite__train__batch=2, lite__train__workers=3)
    assert "lite.train" in text
    assert "batch 2" in text
    assert "3 workers" in text
    assert load_with(lite__train__batch=3, lite__train__workers=3).train.most_workers == 3


def test_workers_that_come_and_go(load_with):
    train = load_with(lite__train__workers=[1, 4]).train
    assert (train.workers, train.most_workers) == ((1, 4), 4)
    assert "smallest number first" in message(load_with, lite__train__workers=[4, 1])
    assert "lite.train.workers" in message(load_with, lite__train__workers=[0, 1])


def test_shares_of_further_images_leave_some_to_the_first(load_with):
    def mix(*shares: float) -> list[dict]:
        return [{"folder": "data/other", "share": share} for share in shares]

    assert [other.share for other in load_with(lite__train__mix=mix(0.3, 0.5)).train.mix] == [0.3, 0.5]
    assert "leave no room for data/augmented" in message(load_with, lite__train__mix=mix(0.5, 0.5))
    assert "lite.train.mix.0.share" in message(load_with, lite__train__mix=mix(1.0))
    assert "lite.train.mix.0.folder" in message(load_with, lite__train__mix=[{"folder": "", "share": 0.5}])


@pytest.mark.parametrize("limits", [(0.5, 0.5), (0.6, 0.5)])
def test_verdict_limits_in_order(load_with, limits):
    text = message(load_with, score__sharp_below=limits[0], score__blurred_above=limits[1])
    assert "sharp_below" in text
    assert "blurred_above" in text


def test_steps_that_are_left_to_tune(load_with):
    assert load_with(lite__model__steps="auto").model.steps == "auto"


def test_no_trial_is_stopped_after_its_end(load_with):
    assert "grace 30 must not exceed budget 20" in message(load_with, tune__budget=20, tune__grace=30)


@pytest.mark.parametrize("profile", ["lite", "paper"])
def test_other_values_in_the_chosen_profile(load_with, profile):
    given = load_with(profile=profile)
    changed = given.but(model={"steps": 3}, train={"crop": 64})
    assert (changed.model.steps, changed.train.crop) == (3, 64)
    assert changed.but(model={"steps": given.model.steps}, train={"crop": given.train.crop}) == given
    assert given.but() == given


def test_other_values_are_checked(load_with):
    assert "lite.train.crop" in message(load_with().but, train={"crop": 8})
    assert "must not exceed model.input_size" in message(load_with().but, train={"crop": 400})
    assert "unknown parameter lite.model.stepz" in message(load_with().but, model={"stepz": 8})


def test_a_file_that_says_only_what_differs(tmp_path):
    (tmp_path / "near").mkdir()
    (tmp_path / "params.yaml").write_text(PARAMS.read_text())
    middle, last = tmp_path / "middle.yaml", tmp_path / "near/last.yaml"
    middle.write_text("base: params.yaml\nseed: 5\nlite: {train: {steps: 7}}\n")
    last.write_text("base: ../middle.yaml\nlite: {train: {batch: 3}}\n")
    given, plain = load(last), load(PARAMS)
    assert (given.seed, given.train.steps, given.train.batch) == (5, 7, 3)
    assert given.train.model_copy(update={"steps": plain.train.steps, "batch": plain.train.batch}) == plain.train
    assert given.paper == plain.paper


def test_a_base_that_cannot_be_used(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("base: absent.yaml\n")
    assert "absent.yaml: no such parameter file" in message(load, path)
    path.write_text("base: params.yaml\n")
    assert "is its own base" in message(load, path)
    path.write_text(f"base: {PARAMS}\nlite: {{train: {{stepz: 7}}}}\n")
    assert "unknown parameter lite.train.stepz" in message(load, path)


def test_missing_file(tmp_path):
    assert "absent.yaml: no such parameter file" in message(load, tmp_path / "absent.yaml")


def test_folder_instead_of_file(tmp_path):
    assert str(tmp_path) in message(load, tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"seed: [1, 2\nprofile: lite\n", b"\ttabs: 1", b"- a\n- b\n", b"only words", b"", b"\xff\xfe\xfa", b"a: \x00"],
    ids=["bracket", "tab", "list", "words", "empty", "not utf-8", "control character"],
)
def test_file_without_keys_and_values(tmp_path, content):
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    assert str(path) in message(load, path)


@pytest.mark.parametrize(
    "path", sorted(PARAMS.parent.glob("released/*/params.yaml")), ids=lambda path: path.parent.name
)
def test_the_recipes_of_the_released_weights_can_be_read_and_name_each_other(path):
    ours = load(path)
    places = [Path(other.folder) for other in ours.train.mix]
    places += [Path(ours.train.start)] if "/" in ours.train.start else []
    for place in places:  # ../PART/…, of a part that there is
        assert (path.parent / place.parts[0] / place.parts[1] / "params.yaml").is_file()
    if ours.data.source == "cuhk" and path.parent.name != "cuhk_all":
        assert ours.train.validation >= 60  # settings are never chosen on the test photos


def test_the_network_trained_on_all_of_cuhk_has_settings_that_were_chosen_on_held_back_pairs():
    chosen, used = (load(PARAMS.parent / f"released/{name}/params.yaml") for name in ("cuhk_only", "cuhk_all"))
    assert used == chosen.but(train={"validation": 0})
