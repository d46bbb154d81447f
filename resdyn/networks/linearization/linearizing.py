"""``linearize``: the Jacobian of a unit, a stage or a network at one state."""

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from resdyn import _validation as validate
from resdyn.networks.linearization.stages import LinearizedNetwork, LinearizedStage
from resdyn.networks.linearization.unit import LinearizedUnit, Reading
from resdyn.networks.unrolling.placement import Placed, Placement
from resdyn.networks.unrolling.stage import Stage
from resdyn.networks.unrolling.unit import Part
from resdyn.networks.unrolling.unrolled import UnrolledNetwork

Masks = Literal["held", "recomputed"]
Method = Literal["auto", "factored", "coloured", "dense"]


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

    All is computed in double precision, whatever the network runs in.

    Parameters
    ----------
    source : Unit, module, Stage or UnrolledNetwork
        A residual unit of an unrolled network or a module that is one; or a stage (the product over its entry and
        blocks), or a network (the product from its inputs to its logits).
    x : array or tensor, shape (C, H, W) or (1, C, H, W)
        The state before the unit or stage; an input of the network.
    reading : "after" or "before"
        Whether the last activation, after the addition, is included. Both are equal where there is none.
    skip_scale, weight_scale : float
        α and β, factors of the skip path and of the branch: :math:`D\,(\alpha a S + \beta U V)`.
    masks : "held" or "recomputed"
        With scales: whether D stays what it is in the network as it was trained, or is that of the scaled unit.
        Activations inside the branch do not see the scales.
    method : "auto", "factored", "coloured" or "dense"
        "factored" reads the layers; "coloured" takes JVPs of many pixels at once, where outputs depend on inputs
        nearby; "dense" one JVP per input variable. "auto" takes the first that applies.

    Returns
    -------
    LinearizedUnit, LinearizedStage or LinearizedNetwork

    Raises
    ------
    TypeError, ValueError
        For what is no unit, no state of it or more than one, unknown words, a method that does not apply, scales of a
        unit whose skip path is not known.
    """
    options = {"reading": reading, "skip_scale": skip_scale, "weight_scale": weight_scale, "masks": masks}
    if isinstance(source, UnrolledNetwork):
        parts = [source.stem, *source.units, source.head]
        return LinearizedNetwork(source.name, _along(parts, x, method, options))
    if isinstance(source, Stage):
        return LinearizedStage(source.name, _along(source.units, x, method, options))
    return _linearized(source, x, method, options)


def _along(parts: Any, x: Any, method: Method, options: dict[str, Any]) -> list[LinearizedUnit]:
    linearized, state = [], np.asarray(x, dtype=np.float64)
    state = state[0] if state.shape == (1, *parts[0].shape_before) else state
    for part in parts:
        linearized.append(_linearized(part, state, method, options))
        double = Placed(part.function.module, Placement(part.function.module, dtype=torch.float64))
        with torch.no_grad():
            state = double(torch.from_numpy(state)[None])[0].numpy()
    return linearized


def _linearized(unit: Part, x: Any, method: Method, options: dict[str, Any]) -> LinearizedUnit:
    array = x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)
    array = array[0] if array.shape == (1, *unit.shape_before) else array
    state = validate.one_state(array, unit.shape_before, unit.name).astype(np.float64)
    module = unit.function.module
    if options["reading"] == "before" and getattr(unit, "piece", None) is not None and unit.piece.before is not None:  # type: ignore[attr-defined]
        module = unit.piece.before  # type: ignore[attr-defined]
    double = Placed(module, Placement(module, dtype=torch.float64))
    at = torch.from_numpy(state)[None]

    def flat(v: Tensor) -> Tensor:
        return double(v.reshape(1, *unit.shape_before)).reshape(-1)

    matrix = torch.func.jacfwd(flat)(at.reshape(-1)).detach().numpy()
    return LinearizedUnit(unit.name, state, shape_after=unit.shape_after, method="dense", matrix=matrix, **options)
