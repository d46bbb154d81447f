"""Toy systems, compiled from the definitions of the theory."""

from typing import TYPE_CHECKING

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


def henon(*, a: float = 1.4, b: float = 0.3) -> SymbolicResidualSystem:
    r"""The Hénon map :math:`x' = 1 - ax^2 + y,\ y' = bx` as a residual map with step 1, shape (2,). [henon1976]_"""
    return from_symbolic(_definition("henon"), params={"a": a, "b": b})


def lorenz(
    *, sigma: float = 10.0, rho: float = 28.0, beta: float = 8 / 3, step: float = 0.01
) -> SymbolicResidualSystem:
    r"""The Lorenz flow, shape (3,): :math:`f = (\sigma(y - x),\ x(\rho - z) - y,\ xy - \beta z)`. [lorenz1963]_"""
    return from_symbolic(_definition("lorenz"), params={"sigma": sigma, "rho": rho, "beta": beta}, step=step)


def standard_map(*, K: float = 1.0) -> SymbolicResidualSystem:
    r"""The area-preserving standard map :math:`p' = p + K\sin x,\ x' = x + p'`, step 1, shape (2,). [chirikov1979]_"""
    return from_symbolic(_definition("standard_map"), params={"K": K})
