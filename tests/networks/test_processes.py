import numpy as np
import pytest
import torch
from torch import nn

from resdyn.networks.training import TrainingConfig, fit
from resdyn.networks.training.epochs import Share, batches
from resdyn.networks.training.sources import samples


def points(n=22):
    inputs = np.random.default_rng(1).normal(size=(n, 3)).astype(np.float32)
    return inputs, (inputs[:, 0] > 0).astype(np.int64)


def a_net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))


def test_two_processes_train_as_one_to_rounding(tmp_path):
    config = TrainingConfig(epochs=3, batch_size=9, learning_rate=0.3)  # batches of 9, 9, 4, so parts of unequal size
    one, two = a_net(), a_net()
    alone = fit(one, (points(), points(10)), config, progress=False)
    together = fit(two, (points(), points(10)), config, progress=False, processes=2, folder=tmp_path)
    assert together.card["processes"] == 2
    assert not torch.equal(one[0].weight, a_net()[0].weight)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        # nine steps, each with a few rounding errors of 6e-8 of numbers of order one
        torch.testing.assert_close(a, b, rtol=0, atol=5e-6)
    np.testing.assert_allclose(together.loss, alone.loss, rtol=1e-5)
    np.testing.assert_array_equal(together.accuracy, alone.accuracy)
    assert (tmp_path / "epoch-0003.safetensors").exists()


def test_the_parts_of_a_batch_are_the_batch():
    config = TrainingConfig(epochs=1, batch_size=9)
    of = samples(points())
    whole = [inputs for inputs, _, _ in batches(of, config, 0, Share())]
    parts = [[inputs for inputs, _, _ in batches(of, config, 0, Share(rank, 3))] for rank in range(3)]
    for batch, *pieces in zip(whole, *parts, strict=True):
        assert torch.equal(torch.cat(pieces), batch)


def test_a_last_batch_too_small_to_share_is_an_error_before_training():
    with pytest.raises(ValueError, match="last batch of an epoch has 1 samples, too few for 2 processes"):
        fit(a_net(), points(), TrainingConfig(epochs=1, batch_size=7), processes=2)
