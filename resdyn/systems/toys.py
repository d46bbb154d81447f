"""Toy systems, compiled from the definitions of the theory."""

from typing import TYPE_CHECKING

from resdyn.matrix_family import ResidualMap
from resdyn.system import SymbolicResidualSystem, from_symbolic

if TYPE_CHECKING:
    from resdyn_theory import SymbolicSystem


def _definition(module: str) -> "SymbolicSystem":
    import importlib

    return importlib.import_module(f"resdyn_theory.systems.{module}").SYSTEM


def linear(*, a: float = 0.1, omega: float = 1.0, step: float = 0.1) -> SymbolicResidualSystem:
    r"""A damped rotation, :math:`f = (-ax - \omega y,\ \omega x - ay)`, shape (2,). [strogatz2015]_"""
    return from_symbolic(_definition("linear"), params={"a": a, "omega": omega}, step=step)


def pitchfork(*, r: float = 1.0, step: float = 0.1) -> SymbolicResidualSystem:
    r"""One unit with two attractors :math:`\pm\sqrt r`: :math:`f = rx - x^3`, shape (1,). [strogatz2015]_"""
    return from_symbolic(_definition("pitchfork"), params={"r": r}, step=step)


def logistic_map(*, r: float = 3.9) -> SymbolicResidualSystem:
    r"""The logistic map :math:`x' = rx(1 - x)` as a residual map with step 1, shape (1,). [may1976]_"""
    return from_symbolic(_definition("logistic_map"), params={"r": r})


def delayed_logistic(*, r: float = 2.1) -> SymbolicResidualSystem:
    r"""The delayed logistic map :math:`x' = rx(1 - y),\ y' = x` with step 1, shape (2,). [aronson1982]_"""
    return from_symbolic(_definition("delayed_logistic"), params={"r": r})


def henon(*, a: float = 1.4, b: float = 0.3) -> SymbolicResidualSystem:
    r"""The Hénon map :math:`x' = 1 - ax^2 + y,\ y' = bx` as a residual map with step 1, shape (2,). [henon1976]_"""
    return from_symbolic(_definition("henon"), params={"a": a, "b": b})


def lorenz(
    *, sigma: float = 10.0, rho: float = 28.0, beta: float = 8 / 3, step: float = 0.01
) -> SymbolicResidualSystem:
    r"""The Lorenz flow, shape (3,): :math:`f = (\sigma(y - x),\ x(\rho - z) - y,\ xy - \beta z)`. [lorenz1963]_"""
    return from_symbolic(_definition("lorenz"), params={"sigma": sigma, "rho": rho, "beta": beta}, step=step)


def duffing(*, delta: float = 0.2, step: float = 0.1) -> SymbolicResidualSystem:
    r"""The unforced Duffing oscillator, :math:`f = (v,\ x - x^3 - \delta v)`, shape (2,): two wells and a saddle.

    [guckenheimer1983]_
    """
    return from_symbolic(_definition("duffing"), params={"delta": delta}, step=step)


def newton_map() -> SymbolicResidualSystem:
    r"""Newton's method for :math:`z^3 = 1` as a residual map with step 1, shape (2,); undefined at 0. [peitgen1986]_"""
    return from_symbolic(_definition("newton_map"))


def bistable(*, step: float = 0.1) -> ResidualMap:
    r"""Two logistic units that inhibit each other, :math:`f = -x + \sigma(Wx + b)`, shape (2,).

    Two fixed points attract, one on either side of the line :math:`x_0 = x_1`, which is the boundary of their basins
    for steps up to 1 (:eq:`bistable-line`).
    """
    W, b = [[4.0, -6.0], [-6.0, 4.0]], [1.0, 1.0]
    return ResidualMap(W, b, step=step, damping=1.0, name="bistable network")


def van_der_pol(*, mu: float = 1.0, step: float = 0.1) -> SymbolicResidualSystem:
    r"""The van der Pol oscillator, shape (2,): :math:`f = (y,\ \mu(1 - x^2)y - x)`. [vanderpol1926]_"""
    return from_symbolic(_definition("van_der_pol"), params={"mu": mu}, step=step)


def hopf(*, mu: float = 1.0, omega: float = 1.0, step: float = 0.1) -> SymbolicResidualSystem:
    r"""The Hopf normal form, shape (2,): :math:`\dot r = r(\mu - r^2),\ \dot\theta = \omega`. [strogatz2015]_"""
    return from_symbolic(_definition("hopf"), params={"mu": mu, "omega": omega}, step=step)


def standard_map(*, K: float = 1.0) -> SymbolicResidualSystem:
    r"""The area-preserving standard map :math:`p' = p + K\sin x,\ x' = x + p'`, step 1, shape (2,). [chirikov1979]_"""
    return from_symbolic(_definition("standard_map"), params={"K": K})
