"""``check_system``: the contract that every System keeps, ours and yours."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from resdyn._types import System
from resdyn.simulation import simulate
from resdyn.system import central_differences

Array = NDArray[Any]


def check_system(
    system: System,
    *,
    states: Any = None,
    rng: np.random.Generator | int = 0,
    rtol: float = 1e-6,
    max_dense: int = 512,
) -> None:
    r"""Check that ``system`` keeps the contract of :class:`resdyn.System`; use it in your tests.

    * name, shape, step and depth have the right types;
    * ``residual`` keeps shapes for one state and for batches of one and two axes, treats each state of a batch alone,
      returns the same values when called twice, and does not write into its argument;
    * without a ``depth`` it does not depend on t;
    * ``linearize`` agrees with central differences, its adjoint with itself, :math:`\langle Av, w\rangle = \langle v,
      A^{\mathsf T}w\rangle`, and it acts on many vectors at once;
    * ``jacobian``, ``jvp`` and ``compiled_form``, where offered, agree with ``linearize`` and ``residual``; so do the
      tangent vectors that a compiled form carries.

    Parameters
    ----------
    system : System
    states : array, shape (n, \*shape), optional
        States to test at, at least two; standard normal ones if left out. Give some for a system that is not
        defined everywhere.
    rng : numpy Generator or seed
    rtol : float
        Tolerance relative to the size of f and of A. Loosen it for float32 systems.
    max_dense : int
        Above this state dimension derivatives are compared along random directions only.

    Raises
    ------
    AssertionError
        Naming the first part of the contract that is broken.
    """
    generator = np.random.default_rng(rng)
    _check_attributes(system)
    shape = system.shape
    batch = generator.standard_normal((6, *shape)) if states is None else np.array(states, dtype=float)
    assert len(batch) >= 2 and batch.shape[1:] == shape, (
        f"states has shape {batch.shape}; check_system needs at least two states of shape {shape}"
    )
    times = [0.0] if system.depth is None else [0.0, (system.depth - 1) * system.step]
    for t in times:
        _check_residual(system, t, batch, rtol)
        _check_linearization(system, t, batch[0], generator, rtol, max_dense)
        _check_products(system, t, batch, generator, rtol)
    if system.depth is None:
        assert np.array_equal(system.residual(0.0, batch), system.residual(1.7 * system.step, batch)), (
            "residual depends on t, but depth is None, which says that the system is autonomous; give it a depth"
        )
    _check_compiled(system, batch, rtol)
    _check_tangents(system, batch, generator, rtol)


def _check_attributes(system: System) -> None:
    assert isinstance(system, System), "a System has name, shape, step, depth, residual and linearize"
    assert isinstance(system.name, str) and system.name, f"name must be a non-empty string, not {system.name!r}"
    assert isinstance(system.shape, tuple) and all(isinstance(n, int) and n > 0 for n in system.shape), (
        f"shape must be a tuple of positive ints, not {system.shape!r}"
    )
    assert isinstance(system.step, float) and system.step > 0, f"step must be a positive float, not {system.step!r}"
    assert system.depth is None or (isinstance(system.depth, int) and system.depth > 0), (
        f"depth must be None or a positive int, not {system.depth!r}"
    )


def _close(found: Array, expected: Array, rtol: float, what: str) -> None:
    scale = 1.0 + float(np.abs(expected).max(initial=0.0))
    worst = float(np.abs(found - expected).max(initial=0.0))
    assert worst <= rtol * scale, f"{what}: they differ by {worst:.3g}, allowed is {rtol * scale:.3g}"


def _check_residual(system: System, t: float, batch: Array, rtol: float) -> None:
    original = batch.copy()
    f = np.asarray(system.residual(t, batch))
    assert f.shape == batch.shape, f"residual returned shape {f.shape} for states of shape {batch.shape}"
    assert np.isfinite(f).all(), "residual is not finite at the states tested; pass states= where it is"
    assert np.array_equal(batch, original), "residual wrote into its argument"
    assert np.array_equal(system.residual(t, batch), f), "residual gave other values when called again"
    frozen = batch.copy()
    frozen.setflags(write=False)
    _close(np.asarray(system.residual(t, frozen)), f, rtol, "residual of a read-only array")
    single = np.asarray(system.residual(t, batch[0]))
    assert single.shape == system.shape, f"residual returned shape {single.shape} for one state of shape {system.shape}"
    _close(single, f[0], rtol, "residual of one state and of the same state in a batch")
    two_axes = batch[:2].reshape(1, 2, *system.shape)
    _close(np.asarray(system.residual(t, two_axes)), f[:2][None], rtol, "residual of a batch with two axes")


def _check_linearization(
    system: System, t: float, x: Array, rng: np.random.Generator, rtol: float, max_dense: int
) -> None:
    A = system.linearize(t, x)
    d = int(np.prod(system.shape))
    assert isinstance(A, LinearOperator), f"linearize must return a scipy LinearOperator, not {type(A).__name__}"
    assert A.shape == (d, d), f"linearize has shape {A.shape}, but states have {d} variables"
    v, w = rng.standard_normal((2, d))
    Av = A.matvec(v)
    _check_direction(system, t, x, v, Av, max(rtol, 1e-6))
    left, right = float(w @ Av), float(A.rmatvec(w) @ v)
    assert abs(left - right) <= rtol * (1 + abs(left)), f"the adjoint is not one: <w, Av> = {left}, <Aᵀw, v> = {right}"
    _close(A.matmat(np.stack([v, w], axis=1))[:, 0], Av, rtol, "matmat and matvec")
    if d > max_dense:
        return
    dense = A.matmat(np.eye(d))
    found, error = central_differences(lambda points: np.asarray(system.residual(t, points)), x)
    _close(dense, found, max(rtol, 1e-6, 100 * error), "linearize and the central-difference Jacobian")
    jacobian = getattr(system, "jacobian", None)
    if jacobian is not None:
        stacked = np.asarray(jacobian(t, np.stack([x, x])))
        assert stacked.shape == (2, d, d), f"jacobian returned shape {stacked.shape} for two states; needed {(2, d, d)}"
        _close(stacked[1], dense, rtol, "jacobian and linearize")


def _check_direction(system: System, t: float, x: Array, v: Array, Av: Array, rtol: float) -> None:
    """A v against central differences along v; see central_differences for their error.

    The longest one is the most exact where f is smooth. Of thousands of units with a kink some have it near x, which
    spoils long differences and not short ones; a wrong derivative agrees with none.
    """
    for length in (1e-5, 1e-6, 1e-7):
        delta = length / np.abs(v).max()
        ahead, behind = (np.asarray(system.residual(t, x + s * delta * v.reshape(x.shape))) for s in (1, -1))
        along = np.ravel(ahead - behind) / (2 * delta)
        if np.abs(Av - along).max() <= rtol * (1 + np.abs(along).max()):
            return
    _close(Av, along, rtol, "linearize and central differences along a random direction")


def _check_products(system: System, t: float, batch: Array, rng: np.random.Generator, rtol: float) -> None:
    """The JVP of a batch with two axes against the operator at each state."""
    jvp = getattr(system, "jvp", None)
    if jvp is None:
        return
    states = batch[:2]
    vectors = rng.standard_normal(states.shape)
    found = np.asarray(jvp(t, states[None], vectors[None]))
    assert found.shape == (1, *states.shape), (
        f"jvp returned shape {found.shape} for states of shape {(1, *states.shape)}"
    )
    for x, v, image in zip(states, vectors, found[0], strict=True):
        _close(image.ravel(), system.linearize(t, x).matvec(v.ravel()), rtol, "jvp and linearize")


def _check_compiled(system: System, batch: Array, rtol: float) -> None:
    """The compiled map against the loop that defines it."""
    if getattr(system, "compiled_form", None) is None:
        return
    depth = min(3, system.depth or 3)
    x = batch
    for k in range(depth):
        x = x + system.step * np.asarray(system.residual(k * system.step, x))
    compiled = simulate(system, batch, depth=depth, save="final").final
    finite = np.isfinite(x)
    _close(compiled[finite], x[finite], rtol, f"the compiled map and {depth} steps of x + h f(x)")


def _check_tangents(system: System, batch: Array, rng: np.random.Generator, rtol: float) -> None:
    """One compiled layer of tangent vectors against I + hA."""
    form = None if getattr(system, "compiled_form", None) is None else system.compiled_form()  # type: ignore[attr-defined]
    if form is None or not form.carries_tangents(2):
        return
    flat = batch.reshape(len(batch), -1).astype(float)
    frames = rng.standard_normal((len(batch), 2, flat.shape[1]))
    expected = np.stack(
        [
            frame + system.step * system.linearize(0.0, x).matmat(frame.T).T
            for frame, x in zip(frames, batch, strict=True)
        ]
    )
    form.iterate_tangents(flat.copy(), frames, np.zeros((1, len(batch), 2)), np.array([1]), first=0, every=0)
    _close(frames, expected, rtol, "compiled tangent vectors and I + h linearize")
