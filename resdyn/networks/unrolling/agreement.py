r"""Whether a chain of units is the model: the comparison that :func:`resdyn.networks.unroll` makes.

Three facts are tested at batches of one, two and three inputs: the model gives the same result twice, a sample's result
does not depend on the others in the batch, and the units one after another give the model's result.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resdyn.networks.unrolling.calls import logits
from resdyn.networks.unrolling.inputs import Example
from resdyn.networks.unrolling.pieces import Pieces
from resdyn.networks.unrolling.placement import Placed, Placement
from resdyn.networks.unrolling.unrolled import UnrolledNetwork

_SIZES = (1, 2, 3)


def require_agreement(
    model: nn.Module, network: UnrolledNetwork, pieces: Pieces, example: Example, placement: Placement
) -> None:
    """An error that names the first unit that differs, if one does."""
    # sums in another order differ by some ε, which layers enlarge; half of the digits are left for that
    eps = placement.eps
    if pieces.converts:  # the model itself rounds to its own type inside, and the pieces do not
        eps = max(eps, torch.finfo(torch.float32).eps)
    tolerance = float(np.sqrt(eps))
    results = {n: _model_run(model, example, n, placement) for n in _SIZES}
    most = max(_SIZES)
    again = _model_run(model, example, most, placement)
    if _difference(again, results[most]) > tolerance:
        raise ValueError(
            "the model returned two results for one and the same input, so it draws random numbers; "
            "call model.eval(), or take the random part out."
        )
    if max(_difference(results[n], results[most][:n]) for n in _SIZES) > tolerance:
        where = _first_interaction(network, example, tolerance)
        raise ValueError(
            f"the result of an input depends on the others in its batch{where}; units are maps of single states, with "
            "the batch as their first axis (batch_first=True in attention, running statistics in batch norm)."
        )
    for n in _SIZES:
        composed = network(_input(example, n, network))
        difference = _difference(composed, results[n])
        if difference > tolerance:
            where = _first_difference(model, pieces, network, example, n, placement, tolerance)
            raise ValueError(
                f"the units one after another are not the model: for a batch of {n} the results differ by "
                f"{difference:.2g} of their size, {where}. Name the units with units=[…], so that each takes what the "
                "one before it returned and nothing else."
            )


def _model_run(model: nn.Module, example: Example, n: int, placement: Placement) -> Tensor:
    run = Placed(model, placement)
    # a model may write into its input
    x = placement.tensor(example.batch(n)).clone()
    with torch.no_grad():
        return logits(run(x) if example.keyword is None else run(**{example.keyword: x}, **example.rest))


def _input(example: Example, n: int, network: UnrolledNetwork) -> Tensor:
    return example.batch(n).to(network.placement.device)


def _difference(found: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest entry; infinite for other shapes or numbers that are none."""
    if found.shape != expected.shape:
        return np.inf
    scale = float(expected.abs().max()) if expected.numel() else 0.0
    worst = float((found - expected).abs().max()) if expected.numel() else 0.0
    if not np.isfinite(scale):
        raise ValueError("the model's result for the example is not finite; pass an example of a usual size.")
    return np.inf if np.isnan(worst) else worst / scale if scale else worst


def _first_interaction(network: UnrolledNetwork, example: Example, tolerance: float) -> str:
    """The first part in which samples meet, in words."""
    x: Any = _input(example, max(_SIZES), network)
    for part in (network.stem, *network.units, network.head):
        after = part(x)
        if _difference(part(x[:1]), after[:1]) > tolerance:
            return f", first in {part.name!r}"
        x = after
    return ""


def _first_difference(
    model: nn.Module,
    pieces: Pieces,
    network: UnrolledNetwork,
    example: Example,
    n: int,
    placement: Placement,
    tolerance: float,
) -> str:
    """The first unit whose result is not what the model has there, in words."""
    parts = (network.stem, *network.units, network.head)
    modules = [piece.module for piece in (pieces.stem, *pieces.units, pieces.head)]
    with _recorded(modules) as seen:
        _model_run(model, example, n, placement)
    x: Any = _input(example, n, network)
    unseen = 0
    for part, module in zip(parts, modules, strict=True):
        x = part(x)
        outputs = seen.get(id(module), []) if module is not None else []
        if not outputs:
            unseen += 1
            continue
        if _difference(x, outputs.pop(0)) > tolerance:
            return f"first after {part.name!r}"
    return "in a part that is no submodule of its own" if unseen else "although each unit alone agrees with its module"


@contextmanager
def _recorded(modules: list[nn.Module | None]) -> Iterator[dict[int, list[Tensor]]]:
    """The tensors that modules return while they are watched; the hooks are gone afterwards."""
    seen: dict[int, list[Tensor]] = {}

    def watch(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            seen.setdefault(id(module), []).append(output.detach().clone())

    distinct = {id(module): module for module in modules if module is not None}
    hooks = [module.register_forward_hook(watch) for module in distinct.values()]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
