r"""Linearization of blocks and of whole trajectories."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._types import System
from resdyn.operators import BlockJacobian, Product

if TYPE_CHECKING:
    from resdyn.trajectory import Trajectory

Array = NDArray[Any]


def block_jacobian(system: System, t: float, x: Array) -> BlockJacobian:
    r"""The Jacobian of one block, :math:`I + hA` with :math:`A = \partial f/\partial x` at (t, x).

    Parameters
    ----------
    system : System
    t : float
        Depth-time; block k acts at t = kh.
    x : array, shape ``system.shape``

    Returns
    -------
    LinearOperator, shape (d, d)
        On flattened states; ``rmatvec`` is the VJP, ``to_dense()`` the matrix.
    """
    return BlockJacobian(system.linearize(t, x), system.step)


def tangent_map(trajectory: "Trajectory", start: int = 0, stop: int | None = None) -> Product:
    r"""The Jacobian of layers ``start`` to ``stop`` along a trajectory,

    .. math:: \frac{\partial x_{\mathrm{stop}}}{\partial x_{\mathrm{start}}}
              = (I + hA_{\mathrm{stop}-1})\cdots(I + hA_{\mathrm{start}}).

    Its adjoint is back-propagation: ``tangent_map(tr).rmatvec(g)`` is the gradient with respect to the first
    state of a function whose gradient at the last one is g.

    Parameters
    ----------
    trajectory : Trajectory
        Of a map (method "residual", or "exponential", whose blocks are differentiated instead), of one state,
        with every layer between ``start`` and ``stop`` saved.
    start, stop : int
        Layers, counted from the end of the transient; by default the first and the last one.

    Raises
    ------
    ValueError
        For a flow, a batch (take ``trajectory.sample(i)``), layers that were not saved, or states that are not finite.
    """
    slots = saved_layers(trajectory, start, stop)
    system = trajectory.system
    if trajectory.batch:
        raise ValueError(
            f"the trajectory holds a batch of shape {trajectory.batch}; "
            f"take one state of it, e.g. trajectory.sample{(0,) * len(trajectory.batch)}."
        )
    factors = []
    for slot in slots:
        if not np.isfinite(trajectory.x[slot]).all() and not getattr(system, "infinite_states", False):
            raise ValueError(
                f"the state at layer {trajectory.layers[slot]} is not finite (status {trajectory.status})."
            )
        factors.append(_block(trajectory, slot))
    return Product(factors, int(np.prod(system.shape)))


def saved_layers(trajectory: "Trajectory", start: int, stop: int | None) -> NDArray[np.int64]:
    """The slots of the layers from ``start`` to ``stop`` of a map, or an error if one was not saved."""
    if trajectory.method not in ("residual", "exponential"):
        raise ValueError(
            f"the trajectory was integrated as a flow ({trajectory.method}), but the tangent map is the product of the "
            'blocks I + hA; simulate with method="residual".'
        )
    layers = trajectory.layers
    depth = int(layers[-1]) - trajectory.transient
    start = validate.count(start, "start")
    stop = depth if stop is None else validate.count(stop, "stop")
    if not start <= stop <= depth:
        raise ValueError(
            f"start = {start}, stop = {stop}: the trajectory has {depth} layers, "
            f"so 0 ≤ start ≤ stop ≤ {depth} is needed."
        )
    start, stop = start + trajectory.transient, stop + trajectory.transient
    missing = np.setdiff1d(np.arange(start, stop), layers)
    if missing.size:
        raise ValueError(
            f"the tangent map needs the state at every layer, but layer {missing[0]} of the system was not saved; "
            'simulate with save="all".'
        )
    return np.arange(np.searchsorted(layers, start), np.searchsorted(layers, stop))


def _block(trajectory: "Trajectory", slot: int) -> BlockJacobian:
    """The Jacobian of the block that acts on saved state ``slot``."""
    system, t, x = trajectory.system, float(trajectory.t[slot]), trajectory.x[slot]
    inputs = trajectory.inputs_at(slot)
    A = system.linearize(t, x) if inputs is None else system.linearize(t, x, inputs=inputs)  # type: ignore[call-arg]
    return BlockJacobian(A, block_weight(trajectory, t))


def block_weight(trajectory: "Trajectory", t: float) -> float:
    """w of the block I + wA that acts at time t."""
    h = trajectory.system.step
    if trajectory.method == "residual":
        return h
    # e^{−hλ}x + w(f + λx) with w = (1 − e^{−hλ})/λ is x + w f: the exponential map is a longer or shorter step
    damping = trajectory.system.layer(t)[2]  # type: ignore[attr-defined]
    return float(-np.expm1(-h * damping) / damping) if damping else h
