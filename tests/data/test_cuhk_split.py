"""CUHK's photos are split into training and test as published, and its real photos pass all checks."""

import pytest

from r2mrf.data import cuhk_split, pairs
from tests.support.drawn_set import check_pairs, data, find_pairs
from tests.support.imports import ROOT

SHARED = ROOT.parent / "shared" / "data"


def test_cuhk_split_is_the_published_one():
    assert len(cuhk_split.TEST) == 100
    assert {26, 27, 28, 99, 103, 37, 698} <= cuhk_split.TEST
    assert (min(cuhk_split.TEST), max(cuhk_split.TEST)) == (26, 698)


def test_cuhk_split_leaves_the_customary_604():
    masks = SHARED / "shapes" / "cuhk_train604"
    if not masks.is_dir():
        pytest.skip(f"{masks} is missing")
    train = {int(path.stem.removeprefix("out_of_focus")) for path in masks.glob("*.png")}
    assert train == set(range(1, 705)) - cuhk_split.TEST


def test_real_photos_of_cuhk():
    root = SHARED / "real" / "cuhk_sample"
    if not root.is_dir():
        pytest.skip(f"{root} is missing")
    found = find_pairs(data("cuhk", root))
    assert [pair.id for pair in found] == ["out_of_focus0011", "out_of_focus0031", "out_of_focus0035"]
    assert {pair.split for pair in found} == {"train"}
    assert check_pairs(found, "cuhk")[0] == []
    inverted = [pairs.Pair(p.id, p.split, p.image, p.mask, "focus") for p in found]
    assert "inverted" in check_pairs(inverted)[0][0]
