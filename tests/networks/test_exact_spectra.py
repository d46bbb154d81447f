"""Complete spectra of factored Jacobians against singular values of the dense matrix; atoms; ranks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from resdyn.networks.linearization import matrices, reduction, symmetric
from resdyn.networks.linearization.factors import Factors
from resdyn.networks.linearization.matrices import matrix_singular_values, verified_rank
from resdyn.networks.linearization.spectrum import spectrum_of_factors, spectrum_of_matrix

ACCURACY = 1e-10  # promised, for Jacobians with norms of a few units


def convolution(weight, shape, stride=1):
    """The matrix of a convolution with padding that keeps the shape."""
    identity = torch.eye(int(np.prod(shape)), dtype=torch.float64).reshape(-1, *shape)
    out = torch.nn.functional.conv2d(identity, torch.tensor(weight), stride=stride, padding=weight.shape[-1] // 2)
    return out.reshape(len(identity), -1).numpy().T


def unit(
    rng, *, channels=3, side=6, inner=0.2, outer=0.7, a=1.0, widen=None, slope=0.0, smooth=False, size=None, gain=1.0
):
    """Factors of two random convolutions with random masks; ``widen``: option "A", or "B" with a projection."""
    before = (channels, side, side)
    after = before if widen is None else (2 * channels, side // 2, side // 2)
    stride = 1 if widen is None else 2
    n, m = int(np.prod(after)), int(np.prod(before))
    first = rng.standard_normal((after[0], channels, 3, 3)) * gain / np.sqrt(9 * channels)
    second = rng.standard_normal((after[0], after[0], 3, 3)) * gain / np.sqrt(9 * after[0])
    count = int(round(inner * n)) if size is None else size
    fires = np.sort(rng.permutation(n)[:count])
    skip = None
    if widen == "A":
        pixels = np.arange(m).reshape(before)[:, ::2, ::2].ravel()
        skip = sparse.csr_array((np.ones(len(pixels)), (np.arange(len(pixels)) + n // 4, pixels)), shape=(n, m))
    if widen == "B":
        skip = sparse.csr_array(convolution(rng.standard_normal((after[0], channels, 1, 1)), before, 2))
    D = np.where(rng.random(n) < outer, 1.0, slope)
    if smooth:
        D = D * rng.uniform(0.2, 1.5, n)
    return Factors(
        a=a,
        skip=skip,
        U=sparse.csc_array(convolution(second, after)[:, fires]),
        V=sparse.csr_array(convolution(first, before, stride)[fires]),
        outer=D,
        inner=(np.isin(np.arange(n), fires).astype(float).reshape(after),),
        place=fires % (after[1] * after[2]),
    )


def dense_factors(a, U, V, outer=None):
    p = U.shape[1]
    return Factors(
        a=a,
        skip=None,
        U=sparse.csc_array(U),
        V=sparse.csr_array(V),
        outer=np.ones(len(U)) if outer is None else outer,
        inner=(np.ones(p),),
        place=np.arange(p),
    )


def changed(factors, **changes):
    fields = ("a", "skip", "U", "V", "outer", "inner", "place")
    return Factors(**({name: getattr(factors, name) for name in fields} | changes))


def dense(factors):
    n, m = factors.shape
    S = np.eye(n) if factors.skip is None else factors.skip.toarray()
    return factors.outer[:, None] * (factors.a * S + factors.U.toarray() @ factors.V.toarray())


def check(factors, *, generic=True):
    """Against the dense matrix, by a decomposition that uses nothing of the structure."""
    J = dense(factors)
    expected = np.linalg.svd(J, compute_uv=False)
    found = spectrum_of_factors(factors)
    assert found.values.shape == expected.shape
    assert (np.diff(found.values) <= 0).all()
    assert np.abs(found.values - expected).max(initial=0.0) <= ACCURACY * max(1.0, expected.max(initial=0.0))
    product = factors.outer[:, None] * (factors.U.toarray() @ factors.V.toarray())
    assert found.rank == np.linalg.matrix_rank(product)
    assert [atom.value for atom in found.atoms] == sorted({atom.value for atom in found.atoms}, reverse=True)
    for value, multiplicity in found.atoms:
        near = int((np.abs(expected - value) < 1e-8).sum())
        assert 0 < multiplicity <= near
        assert (found.values == value).sum() >= multiplicity
        if generic:
            assert multiplicity == near
    if generic:  # what the structure does not force does not happen
        atoms = np.array([atom.value for atom in found.atoms])
        repeated = expected[:-1][np.diff(expected) > -1e-9]
        assert all(np.abs(atoms - value).min(initial=np.inf) < 1e-8 for value in repeated)
    return found


KINDS = {
    "few inner units": {"inner": 0.1},
    "2p just below s": {"inner": 0.33, "outer": 0.7},
    "2p above s": {"inner": 0.4, "outer": 0.6},
    "p near n": {"inner": 0.97},
    "p = n": {"inner": 1.0},
    "p = 1": {"size": 1},
    "p = 0": {"size": 0},
    "before": {"outer": 1.0},
    "before, p above n/2": {"outer": 1.0, "inner": 0.6},
    "s near 0": {"outer": 0.05},
    "s = 0": {"outer": 0.0},
    "skip scaled": {"a": 2.7},
    "skip negative": {"a": -0.6},
    "no skip": {"a": 0.0},
    "no skip, many inner units": {"a": 0.0, "inner": 0.9},
    "no skip, p above s": {"a": 0.0, "inner": 0.9, "outer": 0.4},
    "option A": {"widen": "A"},
    "option A, few inner units": {"widen": "A", "inner": 0.05},
    "option A, before, few": {"widen": "A", "inner": 0.05, "outer": 1.0},
    "option A, negative": {"widen": "A", "a": -1.3, "outer": 1.0},
    "option A, no skip": {"widen": "A", "a": 0.0},
    "projection": {"widen": "B"},
    "projection, few inner units": {"widen": "B", "inner": 0.05, "outer": 1.0},
    "leaky": {"slope": 0.1},
    "leaky, few": {"slope": 0.1, "inner": 0.05},
    "leaky, option A": {"slope": 0.1, "widen": "A", "inner": 0.1},
    "smooth": {"smooth": True},
    "large weights": {"gain": 6.0},
}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_spectra_are_those_of_the_dense_matrix(kind, seed):
    check(unit(np.random.default_rng(seed), **KINDS[kind]))


