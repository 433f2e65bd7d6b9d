"""A photograph cut into layers: outlines where colours change, soft edges, nothing of one layer in another."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from r2mrf.rendering.matting import cut_layers, fit_mask

SIDE, CENTRE = 120, (60, 60)
RED, GREEN = (0.6, 0.1, 0.05), (0.05, 0.3, 0.1)


def round_mask(radius: int, centre: tuple[int, int] = CENTRE) -> np.ndarray:
    return cv2.circle(np.zeros((SIDE, SIDE), np.uint8), centre, radius, 1, -1) > 0


TRUE = round_mask(30)


@pytest.fixture
def light() -> np.ndarray:
    """Return a red disc on green, both textured."""
    rng = np.random.default_rng(0)
    colour = np.where(TRUE[..., None], RED, GREEN)
    texture = rng.uniform(0.7, 1.3, (SIDE // 2, SIDE // 2, 1)).repeat(2, 0).repeat(2, 1)
    return (colour * texture).astype(np.float32)


@pytest.mark.parametrize("rough", [round_mask(33), round_mask(27), round_mask(30, (62, 58))])
def test_a_rough_mask_moves_to_where_the_colours_change(light: np.ndarray, rough: np.ndarray) -> None:
    fitted = fit_mask(rough, light, 4)
    assert fitted.dtype == bool
    assert (fitted ^ TRUE).sum() < 0.25 * (rough ^ TRUE).sum()


def test_a_mask_moves_by_its_reach_at_most(light: np.ndarray) -> None:
    fitted = fit_mask(round_mask(15), light, 4)
    assert not (fitted & ~round_mask(20)).any() and (fitted | ~round_mask(10)).all()


def test_the_mask_of_a_uniform_photo_is_kept() -> None:
    grey = np.full((SIDE, SIDE, 3), 0.4, np.float32)
    assert (fit_mask(TRUE, grey, 4) ^ TRUE).sum() < 0.03 * TRUE.sum()


def test_layers_have_one_surface_each(light: np.ndarray) -> None:
    (back, all_of_it), (front, alpha) = cut_layers(light, [round_mask(32)])
    assert all_of_it is None and back.dtype == front.dtype == alpha.dtype == np.float32
    assert (back[..., 1] > back[..., 0]).all()  # green, also where the disc hid it
    assert (front[alpha > 0.02][:, 0] > front[alpha > 0.02][:, 1]).all()  # red, also under its soft edge
    assert alpha.min() >= 0 and alpha.max() <= 1 and ((alpha > 0.1) & (alpha < 0.9)).any()
    inside, outside = round_mask(24), ~round_mask(40)
    assert (alpha[inside] == 1).all() and (front[inside] == light[inside]).all()
    assert (alpha[outside] == 0).all() and (back[outside] == light[outside]).all()


def test_colour_goes_on_with_its_texture(light: np.ndarray) -> None:
    (back, _), _ = cut_layers(light, [TRUE])
    hidden = round_mask(28)
    assert back[hidden, 1].std() > 0.5 * light[~round_mask(40), 1].std()


def test_layers_hold_those_before_them(light: np.ndarray) -> None:
    layers = cut_layers(light, [np.arange(SIDE)[:, None].repeat(SIDE, 1) > 50, TRUE])
    assert [alpha is None for _, alpha in layers] == [True, False, False]
    assert (layers[1][1][100:] == 1).all() and (layers[1][1][:30] == 0).all()


def test_a_photo_of_one_layer_is_itself(light: np.ndarray) -> None:
    ((colour, alpha),) = cut_layers(light, [])
    assert alpha is None and (colour == light).all()
    everything = np.ones((SIDE, SIDE), bool)
    (_, _), (front, alpha) = cut_layers(light, [everything])  # nothing of the first layer is known
    assert (alpha == 1).all() and (front == light).all()
