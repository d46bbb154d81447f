import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resdyn.networks.training.augmentation import cut_out, draw_places, order_of, seed_of
from resdyn.networks.training.config import TrainingConfig


def by_numpy(image, dy, dx, mirrored, pad, mode):
    """Pad, crop, mirror one image of shape (C, H, W), one step after the other."""
    padded = np.pad(image, [(0, 0), (pad, pad), (pad, pad)], mode={"zeros": "constant", "reflect": "reflect"}[mode])
    height, width = image.shape[1:]
    crop = padded[:, dy : dy + height, dx : dx + width]
    return crop[:, :, ::-1] if mirrored else crop


@settings(deadline=None, max_examples=40)
@given(
    pad=st.integers(0, 4),
    mode=st.sampled_from(["zeros", "reflect"]),
    size=st.tuples(st.integers(5, 9), st.integers(5, 9)),
    seed=st.integers(0, 1000),
)
def test_a_batch_is_cut_out_as_numpy_would_cut_each_image(pad, mode, size, seed):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (4, 3, *size), dtype=np.uint8)
    places = np.column_stack([rng.integers(0, 2 * pad + 1, (4, 2)), rng.integers(0, 2, 4)])
    config = TrainingConfig(epochs=1, pad=pad, pad_mode=mode, flip=True)
    found = cut_out(torch.from_numpy(images), torch.from_numpy(places), config)
    expected = np.stack([by_numpy(x, *place, pad, mode) for x, place in zip(images, places, strict=True)])
    assert found.dtype == torch.uint8
    np.testing.assert_array_equal(found.numpy(), expected)


def test_every_place_is_drawn_equally_often():
    config = TrainingConfig(epochs=1, pad=2, flip=True)
    places = draw_places(config, 0, 50_000).numpy()
    for column, n in zip(places.T, (5, 5, 2), strict=True):
        counts = np.bincount(column, minlength=n)
        assert len(counts) == n
        # a count is binomial; six of its standard deviations
        assert abs(counts - 50_000 / n).max() < 6 * np.sqrt(50_000 / n)


def test_without_flip_nothing_is_mirrored_and_without_crop_nothing_is_moved():
    assert not draw_places(TrainingConfig(epochs=1, pad=3), 0, 200)[:, 2].any()
    assert not draw_places(TrainingConfig(epochs=1, flip=True), 0, 200)[:, :2].any()


def test_random_numbers_depend_on_seed_and_epoch_and_on_nothing_else():
    config = TrainingConfig(epochs=1, pad=2, flip=True)
    first = order_of(config, 3, 100), draw_places(config, 3, 100)
    torch.manual_seed(99)
    torch.rand(5)
    again = order_of(config, 3, 100), draw_places(config, 3, 100)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    for other in (order_of(config, 4, 100), order_of(dataclasses.replace(config, seed=1), 3, 100)):
        assert not torch.equal(first[0], other)
    assert sorted(first[0].tolist()) == list(range(100))


def test_streams_of_one_epoch_have_seeds_of_their_own_that_torch_takes():
    seeds = [seed_of(seed, epoch, stream) for seed in range(5) for epoch in range(5) for stream in range(3)]
    assert len(set(seeds)) == len(seeds)
    assert all(torch.Generator().manual_seed(seed).initial_seed() == seed for seed in seeds)


@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_the_centre_of_the_padded_image_is_the_image(mode):
    images = torch.arange(2 * 3 * 8 * 8, dtype=torch.uint8).reshape(2, 3, 8, 8)
    config = TrainingConfig(epochs=1, pad=3, pad_mode=mode)
    places = torch.tensor([[3, 3, 0], [3, 3, 0]])
    assert torch.equal(cut_out(images, places, config), images)
