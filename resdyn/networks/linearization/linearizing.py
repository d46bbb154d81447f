"""``linearize``: the Jacobian of a unit, a stage or a network at one state."""

from collections.abc import Sequence
from typing import Any, Literal

from resdyn import _validation as validate
from resdyn.networks.linearization.reading.choosing import found
from resdyn.networks.linearization.reading.subjects import Scales, Subject, subject_of
from resdyn.networks.linearization.stages import LinearizedNetwork, LinearizedStage
from resdyn.networks.linearization.unit import LinearizedUnit, Reading
from resdyn.networks.unrolling.derivatives import differentiating
from resdyn.networks.unrolling.stage import Stage
from resdyn.networks.unrolling.unit import Part, Unit
from resdyn.networks.unrolling.unrolled import UnrolledNetwork

Masks = Literal["held", "recomputed"]
Method = Literal["auto", "factored", "closed form", "coloured", "dense"]

_METHODS = ("auto", "factored", "closed form", "coloured", "dense")


@differentiating
def linearize(
    source: Any,
    x: Any,
    *,
    reading: Reading = "after",
    skip_scale: float = 1.0,
    weight_scale: float = 1.0,
    masks: Masks = "held",
    method: Method = "auto",
) -> Any:
    r"""The Jacobian of a residual unit at one state, factored: :math:`J = D\,(a S + U V)`; of a stage, of a network.

    All is computed in double precision, whatever the network runs in. The unit is run once, and its layers, its
    activations and its addition are read off that run; what is found is compared with a directional derivative of the
    unit, and where the two differ, or the unit does something else, the next method is taken, and ``notes`` say why.

    J is what reverse differentiation by torch makes of a batch of one. So values that are detached, or made under
    ``torch.no_grad``, count as constant, and at kinks J is what torch takes for the derivative there.

    Parameters
    ----------
    source : Unit, module, Stage or UnrolledNetwork
        A residual unit of an unrolled network or a module that is one; or a stage (the product over its entry and
        blocks), or a network (the product from its inputs to its logits).
    x : array or tensor, shape (C, H, W) or (1, C, H, W)
        The state before the unit or stage; an input of the network. For a module also of other shapes, as long as it
        is clear whether they have a batch axis.
    reading : "after" or "before"
        Whether the last activation, after the addition, is included. Both are equal where there is none.
    skip_scale, weight_scale : float
        α and β, factors of the skip path and of the branch: :math:`D\,(\alpha a S + \beta U V)`. In a stage or a
        network they are those of each unit, and stem and head have none.
    masks : "held" or "recomputed"
        With scales: whether D stays what it is in the network as it was trained, or is that of the scaled unit, found
        by running what follows the addition at the scaled sum.
        Activations inside the branch do not see the scales. In a stage or a network the states after the first unit
        are those of the trained network, or of the scaled one.
    method : "auto", "factored", "closed form", "coloured" or "dense"
        "factored" reads the layers; "closed form" does so where all of them are dense, and multiplies them out;
        "coloured" takes JVPs of many pixels at once, where outputs depend on inputs nearby; "dense" one VJP per output
        variable, many at a time. "auto" takes the first that applies.

    Returns
    -------
    LinearizedUnit, LinearizedStage or LinearizedNetwork

    Raises
    ------
    TypeError, ValueError
        For what is no unit, no state of it or more than one, unknown words, a method that does not apply, scales of a
        unit whose skip path is not known, a unit that answers the same state in two ways.
    MemoryError
        For a dense Jacobian that does not fit.
    """
    validate.choice(reading, "reading", ("after", "before"))
    validate.choice(masks, "masks", ("held", "recomputed"))
    validate.choice(method, "method", _METHODS)
    scales = Scales(validate.finite(skip_scale, "skip_scale"), validate.finite(weight_scale, "weight_scale"), masks)
    if isinstance(source, UnrolledNetwork):
        parts = [source.stem, *source.units, source.head]
        return LinearizedNetwork(source.name, _along(parts, x, method, reading, scales))
    if isinstance(source, Stage):
        return LinearizedStage(source.name, _along(source.units, x, method, reading, scales))
    return _linearized(subject_of(source, x), method, reading, scales)


def _along(parts: Sequence[Part], x: Any, method: Method, reading: Reading, scales: Scales) -> list[LinearizedUnit]:
    """Of parts one after another, each at the state that reaches it: stems and heads without scales and readings."""
    linearized: list[LinearizedUnit] = []
    state = x
    for part in parts:
        is_unit = isinstance(part, Unit)
        subject = subject_of(part, state)
        own = scales if is_unit else Scales()
        linearized.append(_linearized(subject, method, reading if is_unit else "after", own))
        state = subject.next_state(own)
    return linearized


def _linearized(subject: Subject, method: Method, reading: Reading, scales: Scales) -> LinearizedUnit:
    how = found(subject, method, reading, scales)
    return LinearizedUnit(
        subject.name,
        subject.state,
        shape_after=subject.shape_after,
        reading=reading,
        skip_scale=scales.skip,
        weight_scale=scales.weight,
        masks=scales.masks,
        method=how.method,
        factors=how.factors,
        matrix=how.matrix,
        notes=how.notes,
    )
