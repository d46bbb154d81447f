"""block_jacobian and tangent_map: finite differences, determinants, and torch's back-propagation as oracle."""

import numpy as np
import pytest
import torch

import resdyn
from resdyn.operators import BlockJacobian, DenseOperator, Product, ScaledMatrix
from resdyn.systems import random_weights

RNG = np.random.default_rng(0)
N, T = 5, 7


@pytest.fixture
def system():
    return resdyn.ResidualMap(
        random_weights(N, depth=T, scale=1.5),
        RNG.normal(size=(T, N)),
        activation="tanh",
        step=0.4,
        damping=np.linspace(0.0, 0.9, T),
        gain=1.2,
    )


def finite_differences(run, x, delta=1e-6):
    return np.stack([(run(x + delta * e) - run(x - delta * e)) / (2 * delta) for e in np.eye(x.size)], axis=1)


@pytest.mark.parametrize("method", ["residual", "exponential"])
@pytest.mark.parametrize(("start", "stop"), [(0, None), (2, 6), (3, 3)])
def test_tangent_map_is_the_derivative_of_the_run(system, method, start, stop):
    x0 = RNG.normal(size=N)
    u = RNG.normal(size=(T, N))
    trajectory = resdyn.simulate(system, x0, inputs=u, method=method)
    last = T if stop is None else stop

    def run(x):
        part = (
            resdyn.ResidualMap(
                system.W[start:last],
                system.b[start:last],
                activation="tanh",
                step=0.4,
                damping=system.damping[start:last],
                gain=1.2,
            )
            if last > start
            else None
        )
        return x if part is None else resdyn.simulate(part, x, inputs=u[start:last], method=method).final

    tangent = resdyn.tangent_map(trajectory, start, stop)
    assert np.allclose(tangent.to_dense(), finite_differences(run, trajectory.x[start]), atol=1e-8)


def test_adjoint_is_back_propagation(system):
    x0 = RNG.normal(size=N)
    target = RNG.normal(size=N)
    trajectory = resdyn.simulate(system, x0)
    x = torch.tensor(x0, requires_grad=True)
    state = x
    for k in range(T):
        W, b = torch.tensor(system.W[k]), torch.tensor(system.b[k])
        state = (1 - 0.4 * system.damping[k]) * state + 0.4 * 1.2 * torch.tanh(W @ state + b)
    loss = ((state - torch.tensor(target)) ** 2).sum()
    loss.backward()
    gradient = resdyn.tangent_map(trajectory).rmatvec(2 * (trajectory.final - target))
    assert np.allclose(gradient, x.grad.numpy(), rtol=1e-12)


def test_determinant_of_the_henon_tangent_map():
    trajectory = resdyn.simulate(resdyn.systems.henon(), [0.1, 0.1], depth=12)
    determinant = np.linalg.det(resdyn.tangent_map(trajectory).to_dense())
    assert determinant == pytest.approx((-0.3) ** 12, rel=1e-6)


def test_tangent_maps_compose(system):
    trajectory = resdyn.simulate(system, RNG.normal(size=N))
    whole = resdyn.tangent_map(trajectory).to_dense()
    parts = resdyn.tangent_map(trajectory, 3).to_dense() @ resdyn.tangent_map(trajectory, 0, 3).to_dense()
    assert np.allclose(whole, parts, rtol=1e-13)


def test_layers_count_from_the_end_of_the_transient():
    system = resdyn.ResidualMap(random_weights(3), step=0.3)
    x0 = RNG.normal(size=3)
    whole, late = resdyn.simulate(system, x0, depth=9), resdyn.simulate(system, x0, depth=5, transient=4)
    assert np.allclose(resdyn.tangent_map(whole, 4).to_dense(), resdyn.tangent_map(late).to_dense(), rtol=1e-13)
    assert np.allclose(
        resdyn.tangent_map(whole, 5, 7).to_dense(), resdyn.tangent_map(late, 1, 3).to_dense(), rtol=1e-13
    )


def test_states_between_the_ends_suffice():
    # only the layers whose blocks are multiplied must be there
    system = resdyn.ResidualMap(random_weights(3), step=0.3)
    trajectory = resdyn.simulate(system, RNG.normal(size=3), depth=6, save=6)
    with pytest.raises(ValueError, match='layer 1 of the system was not saved.*save="all"'):
        resdyn.tangent_map(trajectory)
    assert resdyn.tangent_map(trajectory, 0, 1).shape == (3, 3)
    with pytest.raises(ValueError, match="layer 0 of the system was not saved"):
        resdyn.tangent_map(resdyn.simulate(system, RNG.normal(size=3), depth=6, save="final"))
    nothing = resdyn.simulate(system, RNG.normal(size=3), depth=0, transient=4)
    assert np.array_equal(resdyn.tangent_map(nothing).to_dense(), np.eye(3))


@pytest.mark.parametrize(
    ("options", "arguments", "match"),
    [
        ({"method": "RK45"}, (), "integrated as a flow"),
        ({}, (3, 2), "start = 3, stop = 2"),
        ({}, (0, 9), r"7 layers, so 0 ≤ start ≤ stop ≤ 7"),
        ({}, (-1,), "start must be at least 0"),
    ],
)
def test_tangent_map_refuses(system, options, arguments, match):
    trajectory = resdyn.simulate(system, np.zeros(N), **options)
    with pytest.raises(ValueError, match=match):
        resdyn.tangent_map(trajectory, *arguments)


def test_tangent_map_needs_one_finite_state(system):
    with pytest.raises(ValueError, match=r"batch of shape \(2,\).*sample\(0,\)"):
        resdyn.tangent_map(resdyn.simulate(system, np.zeros((2, N))))
    lost = resdyn.simulate(resdyn.systems.pitchfork(), [1e3], depth=20)
    with pytest.raises(ValueError, match="not finite"):
        resdyn.tangent_map(lost)


@pytest.mark.parametrize(
    "operator",
    [
        DenseOperator(RNG.normal(size=(4, 4))),
        ScaledMatrix(RNG.normal(size=(4, 4)), left=RNG.normal(size=4), right=RNG.normal(size=4), shift=0.7),
        BlockJacobian(DenseOperator(RNG.normal(size=(4, 4))), 0.3),
        Product([DenseOperator(RNG.normal(size=(4, 4))), DenseOperator(RNG.normal(size=(4, 4)))], 4),
        Product([], 4),
    ],
    ids=["dense", "scaled", "block", "product", "empty product"],
)
def test_operators_are_their_matrices(operator):
    matrix = operator.to_dense()
    v, M = RNG.normal(size=4), RNG.normal(size=(4, 3))
    assert np.allclose(operator @ v, matrix @ v)
    assert np.allclose(operator @ M, matrix @ M)
    assert np.allclose(operator.H @ v, matrix.T @ v)
    assert np.allclose(operator.T @ M, matrix.T @ M)
    assert np.allclose(operator.rmatvec(v), matrix.T @ v)
    assert np.allclose(operator.rmatmat(M), matrix.T @ M)
    assert np.allclose((operator @ operator) @ v, matrix @ matrix @ v)  # SciPy's algebra of operators works


def test_product_acts_in_order():
    A, B = RNG.normal(size=(2, 3, 3))
    assert np.allclose(Product([DenseOperator(A), DenseOperator(B)], 3).to_dense(), B @ A)
