"""Which way a Jacobian is found: the first that applies and agrees with a directional derivative."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from resdyn.networks.linearization.factors import Factors
from resdyn.networks.linearization.reading.colouring import coloured_matrix
from resdyn.networks.linearization.reading.cuts import factors_of
from resdyn.networks.linearization.reading.nodes import Unreadable
from resdyn.networks.linearization.reading.probing import Probe, dense_matrix
from resdyn.networks.linearization.reading.subjects import Link, Scales, Subject

Array = NDArray[Any]

_TOLERANCE = 1e-10
"""Relative: rounding of a few layers in double precision is at 1e-14, and a wrong stencil at 1."""


@dataclass(frozen=True, eq=False)
class Found:
    """A Jacobian, how it was found, and why not by the methods that come first."""

    method: str
    factors: Factors | None = None
    matrix: Any = None
    notes: tuple[str, ...] = ()


def found(subject: Subject, method: str, reading: str, scales: Scales) -> Found:
    """The Jacobian of a unit by this method, or by the first that applies.

    Raises
    ------
    ValueError
        If the method does not apply.
    """
    notes: list[str] = []
    for name in (method,) if method != "auto" else ("factored", "coloured", "dense"):
        try:
            if name in ("factored", "closed form"):
                return _read(subject, method, reading, scales)
            probe = Probe(subject.links(reading, scales), subject.shape_before, subject.shape_after)
            make = coloured_matrix if name == "coloured" else dense_matrix
            return Found(name, matrix=make(probe, subject.name), notes=tuple(notes))
        except Unreadable as error:
            if method != "auto":
                raise ValueError(
                    f"method {name!r} does not apply to {subject.name!r}: {error}; take method='auto'."
                ) from error
            notes.append(f"not {name}: {error}")
    raise AssertionError("the dense method always applies")


def _read(subject: Subject, method: str, reading: str, scales: Scales) -> Found:
    unit = subject.anatomy
    if not scales.are_one and unit.addition is None:
        raise Unreadable("it has no addition, so it has no skip path to scale")
    if not scales.are_one and unit.is_ambiguous:
        raise Unreadable("its two summands are alike, and which of them is the skip path is not known")
    whole = factors_of(unit)
    _verify(subject, whole, reading)
    outer = whole.outer
    if unit.addition is not None:
        if reading == "before":
            outer = np.ones_like(outer)
        elif scales.masks == "recomputed":
            outer = unit.outer(scales.skip, scales.weight)
    factors = replace(whole, a=scales.skip * whole.a, U=scales.weight * whole.U, outer=outer)
    closed = unit.is_dense and unit.weight_layers == 1
    if method == "closed form" and not unit.is_dense:
        raise Unreadable("it has layers with weights that are not dense")
    if method == "closed form" or (closed and method == "auto"):
        return Found("closed form", matrix=_multiplied_out(factors))
    return Found("factored", factors)


def _verify(subject: Subject, factors: Factors, reading: str) -> None:
    """Compare with one directional derivative of the unit itself."""
    before = subject.before if reading == "before" and subject.anatomy.addition is not None else None
    function, outer = (subject.function, factors.outer) if before is None else (before, 1.0)
    tangent = np.random.default_rng(0).standard_normal(factors.shape[1])
    probe = Probe([Link(function, subject.at)], subject.shape_before, subject.shape_after)
    expected = probe.jvp(torch.from_numpy(tangent)[None])[0]
    skipped = factors.a * (tangent if factors.skip is None else factors.skip @ tangent)
    branch = factors.U @ (factors.V @ tangent)
    error = abs(outer * (skipped + branch) - expected).max(initial=0)
    scale = max(abs(part).max(initial=0) for part in (expected, outer * skipped, outer * branch))
    if not error <= _TOLERANCE * scale:
        raise Unreadable(f"what was read off its run differs from its derivative by {error:.1e} of {scale:.1e}")


def _multiplied_out(factors: Factors) -> Array:
    J = factors.U.toarray() @ factors.V.toarray() if factors.p else np.zeros(factors.shape)
    if factors.skip is None:
        J[np.diag_indices_from(J)] += factors.a
    else:
        J += factors.a * factors.skip.toarray()
    return factors.outer[:, None] * J  # type: ignore[no-any-return]
