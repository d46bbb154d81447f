import math

import pytest

from resdyn.networks.training.config import TrainingConfig
from resdyn.networks.training.presets import PRESETS
from resdyn.networks.training.schedules import learning_rate


def rates(config, steps=10):
    return [learning_rate(config, step, steps) for step in range(config.epochs * steps)]


def test_the_schedule_of_he2016_drops_at_32k_and_48k_of_64k_steps():
    config = PRESETS["he2016"]
    assert config.epochs * 391 >= 64_000 > (config.epochs - 1) * 391
    for step, rate in ((0, 0.1), (31_999, 0.1), (32_000, 0.01), (47_999, 0.01), (48_000, 0.001)):
        assert learning_rate(config, step, 391) == pytest.approx(rate, rel=1e-12)  # powers of 0.1 are rounded


def test_the_deep_net_of_he2016_is_warmed_up_for_400_steps():
    config = PRESETS["he2016-110"]
    assert [learning_rate(config, step, 391) for step in (0, 399, 400)] == [0.01, 0.01, 0.1]


@pytest.mark.parametrize(
    ("name", "epochs", "first", "second"), [("yang2020", 160, 80, 120), ("yang2020-cifar100", 300, 150, 225)]
)
def test_the_schedule_of_yang2020_drops_after_whole_epochs(name, epochs, first, second):
    config = PRESETS[name]
    assert config.epochs == epochs
    assert learning_rate(config, first * 391 - 1, 391) == 0.1
    assert learning_rate(config, first * 391, 391) == pytest.approx(0.01, rel=1e-12)
    assert learning_rate(config, second * 391 - 1, 391) == pytest.approx(0.01, rel=1e-12)
    assert learning_rate(config, second * 391, 391) == pytest.approx(0.001, rel=1e-12)


def test_one_cycle_rises_to_its_rate_in_a_quarter_and_falls_to_nothing():
    found = rates(TrainingConfig(epochs=8, learning_rate=0.3, schedule="one-cycle"))
    assert found[0] == pytest.approx(0.3 / 25)
    assert max(found) == found[20] == 0.3
    assert found[:21] == sorted(found[:21])
    assert found[20:] == sorted(found[20:], reverse=True)
    assert found[10] == pytest.approx(0.3 * (1 / 25 + 24 / 50))  # linear on the way up
    assert found[50] == pytest.approx(0.15)  # half of a half cosine
    assert 0 < found[-1] < 0.3 * 1e-2


def test_a_cosine_begins_at_its_rate_and_is_half_in_the_middle():
    found = rates(TrainingConfig(epochs=4, learning_rate=0.2, schedule="cosine"))
    assert found[0] == 0.2
    assert found[20] == pytest.approx(0.1)
    assert found[-1] == pytest.approx(0.1 * (1 + math.cos(math.pi * 39 / 40)))


def test_a_constant_rate_is_constant():
    assert set(rates(TrainingConfig(epochs=3, learning_rate=0.02))) == {0.02}
