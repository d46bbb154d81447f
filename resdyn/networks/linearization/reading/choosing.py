"""Which way a Jacobian is found: the first that applies and agrees with a directional derivative."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

from resdyn.networks.linearization.factors import Factors
from resdyn.networks.linearization.reading.colouring import coloured_matrix
from resdyn.networks.linearization.reading.cuts import factors_of
from resdyn.networks.linearization.reading.nodes import Unreadable
from resdyn.networks.linearization.reading.probing import Probe, dense_matrix
from resdyn.networks.linearization.reading.subjects import Link, Map, Scales, Subject

Array = NDArray[Any]


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
    outer = whole.outer
    follows = not scales.are_one and scales.masks == "recomputed"
    if unit.addition is not None and (reading == "before" or follows):
        _verify_sum(subject, whole)
    if reading == "after" or unit.addition is None:
        _verify(subject, subject.function, whole)
    if unit.addition is not None and not scales.are_one and subject.skip is not None:
        _verify(subject, subject.skip, replace(whole, U=0 * whole.U, outer=np.ones_like(outer)))
    if unit.addition is not None:
        if reading == "before":
            outer = np.ones_like(outer)
        elif follows:
            outer = subject.rerun(unit.total(scales.skip, scales.weight)).outer
    factors = replace(whole, a=scales.skip * whole.a, U=scales.weight * whole.U, outer=outer)
    closed = unit.is_dense and unit.weight_layers == 1
    if method == "closed form" and not unit.is_dense:
        raise Unreadable("it has layers with weights that are not dense")
    if method == "closed form" or (closed and method == "auto"):
        return Found("closed form", matrix=_multiplied_out(factors))
    return Found("factored", factors)


def _verify_sum(subject: Subject, factors: Factors) -> None:
    """Of the unit up to its addition; where it does not say what that is, at sums that no activation hides."""
    if subject.before is not None:
        _verify(subject, subject.before, replace(factors, outer=np.ones_like(factors.outer)))
        return
    addition = subject.anatomy.addition
    if addition is None or addition is subject.anatomy.after or factors.outer.all():
        return
    sizes = 0.5 + 0.5 * np.random.default_rng(0).random(tuple(addition.value.shape))  # of no kink, nor saturation
    for sign in (1.0, -1.0):
        again = subject.rerun(torch.from_numpy(sign * sizes).to(addition.value))
        _verify(subject, again.function, replace(factors, outer=again.outer))


def _verify(subject: Subject, function: Map, factors: Factors) -> None:
    """Compare with one derivative by autograd."""
    probe = Probe([Link(function, subject.at)], subject.shape_before, subject.shape_after)
    D, U, V = (aslinearoperator(part) for part in (sparse.diags_array(factors.outer), factors.U, factors.V))
    skip = sparse.eye_array(factors.shape[0]) if factors.skip is None else factors.skip
    error = probe.error_of_terms(factors.a * (D @ aslinearoperator(skip)), D @ U @ V)
    if not error.is_small:
        raise Unreadable(f"what was read off its run differs from its derivative ({error})")


def _multiplied_out(factors: Factors) -> Array:
    J = factors.U.toarray() @ factors.V.toarray() if factors.p else np.zeros(factors.shape)
    if factors.skip is None:
        J[np.diag_indices_from(J)] += factors.a
    else:
        J += factors.a * factors.skip.toarray()
    return factors.outer[:, None] * J  # type: ignore[no-any-return]
