"""Components, orthants and frustrated cycles against enumeration over all that are possible."""

import itertools

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from resdyn.analysis.interactions.signed_graphs import orthant_or_cycle, strong_components

PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
small_graphs = st.integers(1, 6).flatmap(lambda n: arrays(np.int8, (n, n), elements=st.sampled_from([-1, 0, 0, 1])))
relations_of_one_sign = st.integers(3, 6).flatmap(
    lambda n: arrays(np.int8, (n, n), elements=st.sampled_from([-1, 0, 0, 1])).map(lambda a: np.triu(a, 1))
)


def nothing_mixed(sign):
    return np.zeros(sign.shape, dtype=bool)


def orthants(sign):
    """All sign vectors that make every interaction a helping one."""
    off = sign * (1 - np.eye(len(sign), dtype=np.int8))
    for s in itertools.product([1, -1], repeat=len(sign)):
        if (np.outer(s, s) * off >= 0).all():
            yield s


def is_frustrated(sign, cycle):
    """Whether a cycle of distinct units can be walked along edges, an odd number of them hindering."""
    steps = list(zip(cycle, (*cycle[1:], cycle[0]), strict=True))
    if len(cycle) == 2:
        i, j = cycle
        return sign[i, j] * sign[j, i] < 0
    product = 1
    for i, j in steps:
        product *= sign[i, j] or sign[j, i]
    return product < 0


@settings(phases=PHASES, deadline=None, max_examples=300)
@given(st.one_of(small_graphs, relations_of_one_sign))
def test_an_orthant_is_found_if_and_only_if_one_exists(sign):
    orthant, cycle = orthant_or_cycle(sign, nothing_mixed(sign))
    possible = list(orthants(sign))
    assert (orthant is None) != (cycle is None)
    assert (orthant is not None) == bool(possible)
    if orthant is not None:
        assert tuple(orthant) in possible
        assert orthant[0] == 1
    else:
        assert len(set(cycle)) == len(cycle)
        assert is_frustrated(sign, cycle)


@settings(phases=PHASES, deadline=None, max_examples=200)
@given(st.one_of(small_graphs, relations_of_one_sign))
def test_the_frustrated_cycle_is_a_shortest_one(sign):
    cycle = orthant_or_cycle(sign, nothing_mixed(sign))[1]
    if cycle is None:
        return
    for length in range(2, len(cycle)):
        assert not any(is_frustrated(sign, shorter) for shorter in itertools.permutations(range(len(sign)), length))


@pytest.mark.parametrize("n", [4, 5, 9, 30])
def test_a_ring_with_one_hindrance_is_its_own_frustrated_cycle(n):
    ring = np.roll(np.eye(n, dtype=np.int8), 1, axis=1)
    ring[0, 1] = -1
    orthant, cycle = orthant_or_cycle(ring, nothing_mixed(ring))
    assert orthant is None
    assert sorted(cycle) == list(range(n))
    assert is_frustrated(ring, cycle)


def test_the_shortest_of_two_rings_is_found():
    # a ring of 8 and a ring of 5, both with one hindrance, in units of random names
    sign = np.zeros((13, 13), dtype=np.int8)
    for ring in (range(8), range(8, 13)):
        for i, j in itertools.pairwise((*ring, ring[0])):
            sign[i, j] = 1
        sign[ring[0], ring[1]] = -1
    names = np.random.default_rng(0).permutation(13)
    cycle = orthant_or_cycle(sign[np.ix_(names, names)], nothing_mixed(sign))[1]
    assert sorted(names[list(cycle)]) == list(range(8, 13))


def test_a_changing_sign_forbids_an_orthant():
    mixed = np.zeros((3, 3), dtype=bool)
    mixed[2, 1] = True
    assert orthant_or_cycle(np.zeros((3, 3), dtype=np.int8), mixed) == (None, (1, 2))


def test_a_changing_influence_on_oneself_does_not():
    orthant, cycle = orthant_or_cycle(-np.eye(3, dtype=np.int8), np.eye(3, dtype=bool))
    assert cycle is None
    assert orthant.tolist() == [1, 1, 1]


@settings(phases=PHASES, deadline=None, max_examples=200)
@given(small_graphs)
def test_components_are_those_of_the_reachability_matrix(sign):
    acts = sign != 0
    n = len(acts)
    reach = np.linalg.matrix_power(np.eye(n, dtype=int) + acts, n) > 0
    labels = strong_components(acts)
    assert np.array_equal(labels[:, None] == labels, reach & reach.T)
    assert set(labels) == set(range(labels.max() + 1))
    # i receives from j: the component of j comes before that of i, or is the same
    receiver, actor = np.nonzero(acts)
    assert (labels[actor] <= labels[receiver]).all()
