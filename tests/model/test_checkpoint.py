"""A model folder: how it is loaded and named, and which damage is refused with one line."""

import json
import os
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from r2mrf.config import Model
from r2mrf.errors import UserError
from r2mrf.imaging.preprocess import VERSION, Preprocess
from r2mrf.network.checkpoint import Checkpoint, load, parse, save
from r2mrf.network.model import R2MRF
from r2mrf.network.model_folder import FACTS, WEIGHTS, CheckpointError, amend, content_hash, facts_to_json, read
from tests.support.disk import tiny_disk
from tests.support.model import architecture

ARCHITECTURE = architecture()
PREPROCESS = Preprocess(64, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def checkpoint(seed: int = 0, model: Model = ARCHITECTURE, preprocess: Preprocess = PREPROCESS, **training):
    torch.manual_seed(seed)
    return Checkpoint(R2MRF(model).eval(), model, preprocess, training)


@pytest.fixture
def folder(tmp_path) -> Path:
    return save(tmp_path / "model", checkpoint(steps=7))


def refused(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


def edit(folder: Path, change) -> Path:
    facts = json.loads((folder / FACTS).read_text())
    change(facts)
    (folder / FACTS).write_bytes(facts_to_json(facts))
    return folder


# --- round trip ------------------------------------------------------------------------------------------


@torch.inference_mode()
def test_round_trip_gives_the_same_maps(tmp_path):
    source = checkpoint(steps=7, data="synthetic")
    copy = load(save(tmp_path / "deep" / "er" / "model", source))
    x = torch.randn(1, 3, 64, 64)
    for got, expected in zip(copy.network(x).sides, source.network(x).sides, strict=True):
        assert torch.equal(got, expected)
    assert torch.equal(copy.network(x).fused, source.network(x).fused)
    assert (copy.model, copy.preprocess) == (source.model, source.preprocess)
    assert copy.training == {"steps": 7, "data": "synthetic"}
    assert not copy.network.training


def test_weights_in_another_memory_format_are_the_same_file(tmp_path):
    source = checkpoint()
    first = load(save(tmp_path / "a", source)).sha256
    source.network.to(memory_format=torch.channels_last)
    assert load(save(tmp_path / "b", source)).sha256 == first


def test_folder_holds_two_files_and_no_scratch_is_left(folder):
    assert sorted(path.name for path in folder.iterdir()) == [FACTS, WEIGHTS]
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_loading_needs_no_pretrained_weights(tmp_path):
    # a model trained from ImageNet weights is loaded where no such weights can be had
    model = ARCHITECTURE.model_copy(update={"weights": "no/such/file.safetensors"})
    source = replace(checkpoint(), model=model)
    assert load(save(tmp_path / "model", source)).model.weights == "random"


# --- content hash ----------------------------------------------------------------------------------------


@pytest.fixture
def sha256_of(tmp_path):
    return lambda made: load(save(tmp_path / "model", made)).sha256


def test_hash_is_of_the_content(sha256_of):
    assert sha256_of(checkpoint()) == sha256_of(checkpoint())


def test_hash_changes_with_the_weights(sha256_of):
    changed = checkpoint()
    with torch.no_grad():
        changed.network.fusion.bias += 1e-6
    assert sha256_of(changed) != sha256_of(checkpoint())


def test_hash_changes_with_the_architecture(sha256_of):
    # neither switch has weights of its own
    for switch in ("rrm", "fusion_relu"):
        model = ARCHITECTURE.model_copy(update={switch: not getattr(ARCHITECTURE, switch)})
        assert sha256_of(checkpoint(model=model)) != sha256_of(checkpoint())


def test_hash_changes_with_the_preprocessing(sha256_of):
    for change in ({"mean": (0.5, 0.5, 0.4)}, {"std": (0.25, 0.25, 0.2)}):
        assert sha256_of(checkpoint(preprocess=replace(PREPROCESS, **change))) != sha256_of(checkpoint())


def test_hash_does_not_depend_on_how_it_was_trained(sha256_of):
    assert sha256_of(checkpoint(steps=7, f_05=0.9)) == sha256_of(checkpoint())
    model = ARCHITECTURE.model_copy(update={"weights": "pretrained"})
    assert sha256_of(replace(checkpoint(), model=model)) == sha256_of(checkpoint())


def test_hash_without_building_the_network(folder):
    assert content_hash(folder) == load(folder).sha256
    with pytest.raises(CheckpointError, match=r"model\.json is incomplete"):
        content_hash(edit(folder, lambda facts: facts.pop("preprocess")))


def test_name_begins_the_hash(folder):
    loaded = load(folder)
    assert loaded.name == f"tf_efficientnet_lite0-T2-{loaded.sha256[:12]}"


# --- refusals --------------------------------------------------------------------------------------------


def test_tampered_weights(folder):
    weights = bytearray((folder / WEIGHTS).read_bytes())
    weights[-1] ^= 1
    (folder / WEIGHTS).write_bytes(weights)
    assert "SHA-256 differs" in refused(folder)


@pytest.mark.parametrize("name", [WEIGHTS, FACTS])
def test_a_flipped_bit_is_told_or_changes_nothing(folder, name):
    files, whole, dice, told = read(folder), load(folder).sha256, random.Random(0), 0
    for _ in range(500):
        damaged = bytearray(files[name])
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        try:
            assert parse(files | {name: bytes(damaged)}, folder).sha256 == whole  # a blank became another
        except CheckpointError as error:
            assert f"{folder / name}" in str(error)
            told += 1
    assert told > 450


def test_a_model_saved_before_has_no_hash_of_its_facts(folder):
    facts = json.loads((folder / FACTS).read_text())
    del facts["facts_sha256"]
    (folder / FACTS).write_text(json.dumps(facts))
    assert load(folder).training == {"steps": 7}


def test_further_facts_are_written_only_beside_sound_ones(folder):
    before = content_hash(folder)
    amend(folder, {"blur_scale": {"radius": 1.0, "logits": 2.0, "measured": True}})
    assert load(folder).blur_scale.radius == 1.0 and content_hash(folder) == before
    path = folder / "model.json"
    damaged = path.read_text().replace('"radius": 1.0', '"radius": 1.5')
    path.write_text(damaged)
    with pytest.raises(CheckpointError, match="damaged"):
        amend(folder, {"more": 1})
    assert path.read_text() == damaged


@pytest.mark.parametrize("name", [WEIGHTS, FACTS])
def test_missing_file(folder, name):
    (folder / name).unlink()
    assert f"{name}: No such file" in refused(folder)


def test_missing_folder(tmp_path):
    assert "a model is a folder with" in refused(tmp_path / "absent")


def test_file_instead_of_folder(tmp_path):
    (tmp_path / "model.pt").touch()
    assert "a model is a folder with" in refused(tmp_path / "model.pt")


@pytest.mark.parametrize("content", [b"{", b"", b"[1]", b"\xff\xfe", b"null"])
def test_facts_that_are_no_json_object(folder, content):
    (folder / FACTS).write_bytes(content)
    assert "not a JSON object" in refused(folder)


@pytest.mark.parametrize("key", ["model", "preprocess", "weights_sha256"])
def test_missing_fact(folder, key):
    refused(edit(folder, lambda facts: facts.pop(key)))


@pytest.mark.parametrize("key", ["model", "preprocess"])
def test_fact_of_wrong_type(folder, key):
    refused(edit(folder, lambda facts: facts.update({key: [1, 2]})))


def test_unknown_architecture_key(folder):
    assert "attention" in refused(edit(folder, lambda facts: facts["model"].update(attention=True)))


def test_unknown_backbone(folder):
    assert "resnext9000" in refused(edit(folder, lambda facts: facts["model"].update(backbone="resnext9000")))


def test_architecture_that_the_weights_do_not_fit(folder):
    assert "in model.safetensors, but model.json says shape" in refused(
        edit(folder, lambda facts: facts["model"].update(width=3))
    )


def test_other_version_of_preprocessing(folder):
    text = refused(edit(folder, lambda facts: facts["preprocess"].update(version=VERSION + 1)))
    assert f"version {VERSION + 1}" in text
    assert "install the r2mrf release" in text


@pytest.mark.parametrize("size", [10**9, 0, "64"])
def test_size_that_is_not_the_networks(folder, size):
    assert f"size {size} is not" in refused(edit(folder, lambda facts: facts["preprocess"].update(size=size)))


def test_unknown_preprocessing_key(folder):
    assert "gamma" in refused(edit(folder, lambda facts: facts["preprocess"].update(gamma=2)))


# --- whole or not at all ---------------------------------------------------------------------------------


def assert_as_before(folder: Path, sha256: str):
    assert load(folder).sha256 == sha256
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_saving_over_an_older_folder(folder):
    before = load(folder).sha256
    save(folder, checkpoint(seed=1))
    assert load(folder).sha256 != before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_disk_full(folder):
    before = load(folder).sha256
    with tiny_disk(), pytest.raises(UserError, match=r"model: cannot be written \(File too large\)"):
        save(folder, checkpoint(seed=1))
    assert_as_before(folder, before)


def test_facts_that_cannot_be_written(folder):
    before = load(folder).sha256
    with pytest.raises(TypeError, match="JSON"):
        save(folder, checkpoint(seed=1, data=object()))
    assert_as_before(folder, before)


@pytest.mark.parametrize("failing", [1, 2])
def test_failure_while_the_folders_are_swapped(folder, monkeypatch, failing):
    before, rename, calls = load(folder).sha256, os.replace, []

    def fail_once(source, target):
        calls.append(target)
        if len(calls) == failing:
            raise OSError("input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "replace", fail_once)
    with pytest.raises(UserError, match=r"cannot be written \(input/output error\)"):
        save(folder, checkpoint(seed=1))
    monkeypatch.undo()
    assert_as_before(folder, before)
