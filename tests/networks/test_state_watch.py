"""A callback that judges the states of a net while it is trained."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

import resdyn

torch = pytest.importorskip("torch")
from resdyn import networks  # noqa: E402

RULE = partial(resdyn.depth_rule, rule="hauser2019", threshold=0.3)
CONFIG = replace(networks.PRESETS["digits"], epochs=3)


def begun():
    torch.manual_seed(0)
    return networks.residual_mlp(3, inputs=64, units=8)


@pytest.fixture(scope="module")
def images():
    return resdyn.data.digit_images("test").subset(slice(20))


def test_each_epoch_is_judged_by_the_states_of_that_epoch(images):
    net, watch, seen = begun(), networks.StateWatch(images, RULE), []

    def by_hand(epoch, net, metrics):
        with torch.no_grad():
            states = [net.stem(torch.as_tensor(net.preprocessing(images.pixels()), dtype=torch.float32))]
            for block in net.stages[0].blocks:
                states.append(block(states[-1]))
        states = [state.numpy().astype(float) for state in states]
        moved = [np.linalg.norm(b - a, axis=1) / np.linalg.norm(a, axis=1) for a, b in pairwise(states)]
        seen.append(np.mean(moved))

    networks.fit(net, "digits", CONFIG, progress=False, callbacks=[watch, by_hand])
    assert watch.epochs == [1, 2, 3]
    assert [rule.value for rule in watch.found] == pytest.approx(seen, rel=1e-5)  # states are in single precision
    assert len(set(seen)) == 3


def test_training_ends_when_stop_says_so_and_is_the_same_until_then(images):
    whole, stopped = begun(), begun()
    all_epochs = networks.StateWatch(images, RULE)
    two = networks.StateWatch(images, RULE, stop=lambda found: len(found) == 2)
    networks.fit(whole, "digits", CONFIG, progress=False, callbacks=[all_epochs])
    run = networks.fit(stopped, "digits", CONFIG, progress=False, callbacks=[two])
    assert (run.end, run.epochs) == ("callback", 2)
    assert [rule.value for rule in two.found] == [rule.value for rule in all_epochs.found[:2]]


def test_arrays_go_to_the_net_as_they_are(images):
    net = begun().eval()
    net.preprocessing = networks.Preprocessing((0.2,), (0.5,))
    bytes_watch, float_watch = (
        networks.StateWatch(given, lambda states: states[0]) for given in (images, net.preprocessing(images.pixels()))
    )
    assert bytes_watch(1, net, {}) is float_watch(1, net, {}) is False
    assert np.array_equal(bytes_watch.found[0], float_watch.found[0])


def test_what_cannot_be_watched_is_refused(images):
    with pytest.raises(TypeError, match="judge must be a function"):
        networks.StateWatch(images, None)
    with pytest.raises(TypeError, match="stop must be a function"):
        networks.StateWatch(images, RULE, stop=3)
    with pytest.raises(ValueError, match="no inputs"):
        networks.StateWatch(np.empty((0, 64)), RULE)
    with pytest.raises(ValueError, match="no preprocessing"):
        networks.StateWatch(images, RULE)(1, begun().eval(), {})
