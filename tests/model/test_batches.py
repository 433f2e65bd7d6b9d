"""Batches: which rows, crops and flips they hold is a pure function of (seed, step)."""

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch

from r2mrf.data.batches import Samples, batch_positions, row_at, split, table_at, validation_batch
from r2mrf.errors import UserError
from r2mrf.imaging import images
from r2mrf.imaging.preprocess import Preprocess

PLAIN = Preprocess(64, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))  # a normalised photo is the photo / 255


def shape(height: int, width: int, seed: int) -> np.ndarray:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).random((height, width), np.float32), (0, 0), 5)
    return cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def table_of(*masks: np.ndarray) -> pa.Table:
    """Pairs whose photo is a picture of the mask."""
    encoded = [images.encode_png(mask) for mask in masks]
    photos = [images.encode_png(np.dstack([mask] * 3)) for mask in masks]
    return pa.table({"image": photos, "mask": encoded})


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return table_of(*(shape(70 + 5 * i, 90 - 4 * i, seed=i) for i in range(6)))


def samples(table, crop=40, seed=3, preprocess=PLAIN) -> Samples:
    return Samples(table, preprocess, crop, seed)


# --- the order of the rows -------------------------------------------------------------------------------


def test_every_epoch_holds_each_row_once_in_a_new_order():
    epochs = [[row_at(position, seed=3, count=10) for position in range(e * 10, e * 10 + 10)] for e in range(20)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 20


def test_order_does_not_depend_on_what_was_asked_before():
    forward = [row_at(position, seed=3, count=7) for position in range(70)]
    assert [row_at(position, seed=3, count=7) for position in reversed(range(70))] == forward[::-1]
    assert [row_at(position, seed=4, count=7) for position in range(70)] != forward


@pytest.mark.parametrize("world", [1, 2, 4])
def test_shares_of_the_workers_are_the_batch(world):
    for step in (0, 1, 17):
        shares = [list(batch_positions(step, 8, rank, world)) for rank in range(world)]
        assert {len(share) for share in shares} == {8 // world}
        assert sorted(place for share in shares for place in share) == list(range(8 * step, 8 * step + 8))


def test_batches_follow_each_other_without_gap():
    seen = [position for step in range(5) for position in batch_positions(step, 6)]
    assert seen == list(range(30))


@pytest.mark.parametrize("shares", [[0.3], [0.25, 0.5], [0.1, 0.2, 0.3]])
def test_every_table_has_its_share_and_is_gone_through_in_order(shares):
    drawn = [table_at(position, shares) for position in range(1000)]
    for table, share in enumerate([1 - sum(shares), *shares]):
        places = [place for of, place in drawn if of == table]
        assert places == list(range(len(places)))  # none is left out, none comes twice
        assert len(places) == pytest.approx(1000 * share, abs=2)
    for start in range(0, 1000, 20):  # also in every single batch
        counts = [sum(of == table for of, _ in drawn[start : start + 20]) for table in range(1, len(shares) + 1)]
        assert counts == pytest.approx([20 * share for share in shares], abs=1.5)


def test_one_table_is_all_there_is():
    assert [table_at(position, []) for position in range(5)] == [(0, position) for position in range(5)]


# --- batches ---------------------------------------------------------------------------------------------


def test_shapes_types_and_ranges(table):
    batch = samples(table).batch(range(5))
    assert batch.photos.shape == (5, 3, 40, 40)
    assert batch.masks.shape == (5, 1, 40, 40)
    assert batch.photos.dtype == batch.masks.dtype == torch.float32
    assert 0 <= batch.masks.min() < 0.2 < 0.8 < batch.masks.max() <= 1
    assert batch.photos.is_contiguous(memory_format=torch.channels_last)


def test_black_and_white_stay_exact():
    # 1 = defocused; any other value is taken for doubt and not learnt from
    step = np.zeros((64, 64), np.uint8)
    step[:, 32:] = 255
    masks = samples(table_of(step), crop=64).batch(range(4)).masks
    assert set(masks.unique().tolist()) == {0.0, 1.0}


def test_photo_and_mask_move_together(table):
    batch = samples(table).batch(range(24))
    for channel in range(3):
        torch.testing.assert_close(batch.photos[:, channel], batch.masks[:, 0], atol=1e-6, rtol=0)


def test_photos_are_normalised(table):
    preprocess = Preprocess(64, (0.1, 0.2, 0.3), (0.5, 0.4, 0.2))
    batch = samples(table, preprocess=preprocess).batch(range(4))
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (preprocess.mean, preprocess.std))
    torch.testing.assert_close(batch.photos * std + mean, batch.masks.expand(-1, 3, -1, -1), atol=1e-5, rtol=0)


def test_same_places_same_batch_whatever_came_before(table):
    first, second = samples(table), samples(table)
    expected = first.batch(batch_positions(5, 4))
    for step in (0, 9, 2):
        second.batch(batch_positions(step, 4))
    for got, wanted in zip(second.batch(batch_positions(5, 4)), expected, strict=True):
        assert torch.equal(got, wanted)
    assert not torch.equal(samples(table, seed=4).batch(batch_positions(5, 4)).masks, expected.masks)


def test_two_workers_see_the_samples_of_one(table):
    whole_batch = samples(table).batch(batch_positions(3, 8))
    for rank in range(2):
        share = samples(table).batch(batch_positions(3, 8, rank, 2))
        assert torch.equal(share.photos, whole_batch.photos[rank::2])
        assert torch.equal(share.masks, whole_batch.masks[rank::2])


def test_a_batch_of_two_tables_holds_what_each_alone_would_give(table):
    dark = table_of(np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8))
    mixed = Samples(table, PLAIN, 40, 3, [(dark, 0.25)]).batch(range(16))
    of_main = [position for position in range(16) if table_at(position, [0.25])[0] == 0]
    assert torch.equal(mixed.photos[of_main], samples(table).batch(range(12)).photos)
    others = sorted(set(range(16)) - set(of_main))
    assert len(others) == 4 and mixed.masks[others].max() == 0


def test_an_epoch_shows_every_row():
    # flat masks, so that a sample tells its row whatever is cropped
    flat = samples(table_of(*(np.full((64, 64), 40 * i, np.uint8) for i in range(6))))
    shown = [round(255 * float(mask.max()) / 40) for mask in flat.batch(range(12)).masks]
    assert sorted(shown[:6]) == sorted(shown[6:]) == list(range(6))


def test_crops_vary_and_half_are_mirrored():
    ramp = np.tile(np.arange(0, 240, 4, dtype=np.uint8), (60, 1))  # brighter to the right
    masks = samples(table_of(ramp), crop=40).batch(range(200)).masks[:, 0, 0]
    mirrored = (masks[:, 0] > masks[:, -1]).float().mean()
    assert 0.35 < mirrored < 0.65
    assert len(masks.amin(dim=1).unique()) == 21  # all places, the last included


# --- sizes -----------------------------------------------------------------------------------------------


def test_larger_photos_are_shrunk_to_the_input_size_and_seen_whole():
    # as in use: the whole photo in one square, its proportions not kept
    large = np.zeros((300, 500), np.uint8)
    large[:, 250:] = 255
    mask = samples(table_of(large), crop=64).batch(range(1)).masks[0, 0]
    assert {mask[:, :32].unique().item(), mask[:, 32:].unique().item()} == {0.0, 1.0}


def test_smaller_photos_are_reflected_not_enlarged():
    small = shape(20, 33, seed=1)
    expected = np.pad(small, ((0, 30), (0, 17)), mode="symmetric") / np.float32(255)
    batch = samples(table_of(small), crop=50).batch(range(8))
    for photo, mask in zip(batch.photos, batch.masks, strict=True):
        either = [expected, expected[:, ::-1]]
        assert any(np.array_equal(mask[0].numpy(), pixels) for pixels in either)
        torch.testing.assert_close(photo[1], mask[0], atol=1e-6, rtol=0)


def test_one_side_short_the_other_long():
    batch = samples(table_of(shape(20, 300, seed=1)), crop=60).batch(range(3))
    assert batch.masks.shape == (3, 1, 60, 60)
    torch.testing.assert_close(batch.photos[:, :1], batch.masks, atol=1e-6, rtol=0)


def test_photos_as_in_use(table):
    photos, masks = validation_batch(table, range(1, 4), PLAIN)
    assert photos.shape == (3, 3, 64, 64)
    for i, (photo, mask) in enumerate(zip(photos, masks, strict=True), start=1):
        np.testing.assert_array_equal(mask, images.decode_mask(table["mask"][i].as_py()))
        seen = PLAIN.shrink(np.dstack([mask] * 3))[..., 0]
        np.testing.assert_allclose(photo[0].numpy() * 255, seen, atol=1e-3)


# --- what is held back -----------------------------------------------------------------------------------


def variants_of(sources: int) -> pa.Table:
    names = [f"s{i}" for i in range(sources) for _ in range(3)]
    return pa.table({"source_id": names, "variant": pa.array([0, 1, 2] * sources, pa.int32())})


def test_no_variant_of_a_held_out_photo_is_trained_on():
    learn, held = split(variants_of(10), 4, seed=3)
    assert held["variant"].to_pylist() == [0] * 4
    chosen = set(held["source_id"].to_pylist())
    assert len(chosen) == 4
    assert learn.num_rows == 18
    assert set(learn["source_id"].to_pylist()) == {f"s{i}" for i in range(10)} - chosen
    assert split(variants_of(10), 4, seed=3) == (learn, held)
    assert split(variants_of(10), 4, seed=4) != (learn, held)


def test_nothing_held_back():
    learn, held = split(variants_of(3), 0, seed=3)
    assert (learn.num_rows, held.num_rows) == (9, 0)


@pytest.mark.parametrize("held_back", [3, 4])
def test_everything_held_back(held_back):
    with pytest.raises(UserError, match=f"train.validation {held_back} leaves none of 3 pairs"):
        split(variants_of(3), held_back, seed=3)


# --- refusals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crop", [65, 0])
def test_crop_that_does_not_fit(table, crop):
    with pytest.raises(ValueError, match=f"crop {crop} must not exceed .* 64: lower train.crop"):
        samples(table, crop=crop)


def test_no_rows(table):
    with pytest.raises(ValueError, match="no training image is left"):
        samples(table.slice(0, 0))


def test_broken_photo(table):
    broken = pa.table({"image": [b"no picture"], "mask": [table["mask"][0].as_py()]})
    with pytest.raises(images.ImageError):
        samples(broken).batch(range(1))
