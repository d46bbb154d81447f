"""``unroll``: from a model and an example to its chain of units, checked against the model."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from resdyn import _validation as validate
from resdyn.networks.architectures.contract import ResidualNetwork
from resdyn.networks.unrolling.agreement import require_agreement
from resdyn.networks.unrolling.calls import single_tensor
from resdyn.networks.unrolling.declared import declared_pieces, declared_step
from resdyn.networks.unrolling.inputs import Example
from resdyn.networks.unrolling.pieces import Piece, Pieces
from resdyn.networks.unrolling.placement import Placed, Placement, refuse_training
from resdyn.networks.unrolling.unit import Part, Unit
from resdyn.networks.unrolling.unrolled import Input, UnrolledNetwork


def unroll(
    model: nn.Module,
    example: Any,
    *,
    units: Any = None,
    step: float | None = None,
    device: Any = None,
    dtype: Any = None,
    name: str | None = None,
) -> UnrolledNetwork:
    r"""Take a residual network apart into its units, without changing or copying it.

    .. math:: \text{model}(x) = \text{head}\bigl(B_n(\cdots B_1(\text{stem}(x)))\bigr)

    Networks of ``resdyn.networks`` say themselves what their units are. In others they are found from the additions
    of a skip path in a trace of the model, or named by the caller.

    Parameters
    ----------
    model : torch.nn.Module
        In eval mode.
    example : tensor or array, shape (batch, \*shape); or a mapping with one of them and fixed arguments
        An input, in a mapping by the name of its argument, such as ``{"pixel_values": x, "flag": True}``; what else is
        there goes to the model as it is. The values of the input do not matter.
    units : sequence of str or of modules, optional
        The residual units, in order: paths such as "layer1.0", or submodules.
    step : float, optional
        h, the depth-time of one block in ``.stages``. If left out, the ``step`` that the blocks of a dense network
        have, and 1 for others.
    device : str or torch.device, optional
        Where to run; where the model is, if left out.
    dtype : torch.float32 or torch.float64, optional
        In what to run; that of the model's parameters, if left out. With another dtype or device the unrolled network
        is a snapshot, with copies of the weights; else it shares them with the model.
    name : str, optional
        For messages and figures.

    Returns
    -------
    UnrolledNetwork
        Compared with the model on batches of 1, 2 and 3 inputs made from the example.

    Raises
    ------
    TypeError
        For what is no module, or an example that is no array of numbers.
    ValueError
        For a model in training mode, in half precision without ``dtype``, without skip additions, or whose units,
        one after another, are not the model; the message names the first unit that differs.
    RuntimeError
        If CUDA is asked for and there is none.
    """
    if isinstance(model, nn.DataParallel):
        model = model.module  # a unit runs on one device
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, but is {model!r} of type {type(model).__name__}.")
    chosen = None if step is None else validate.positive(step, "step")
    refuse_training(model)
    placement = Placement(model, device=device, dtype=dtype)
    given = Example(example, model)
    name = _name_of(model) if name is None else name
    try:
        pieces = _pieces(model, example, given, units)
        network = _assembled(model, pieces, given, placement, declared_step(pieces) if chosen is None else chosen, name)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        if _lacks_batch_axis(model, given):
            raise ValueError(
                f"the example has shape {tuple(given.input.shape)} and needs a batch axis; pass example[None]."
            ) from error
        raise
    network.preprocessing = getattr(model, "preprocessing", None)
    require_agreement(model, network, pieces, given, placement)
    return network


def _pieces(model: nn.Module, example: Any, given: Example, units: Any) -> Pieces:
    if units is None and isinstance(model, ResidualNetwork):
        pieces = declared_pieces(model)
    else:
        from resdyn.networks.unrolling.finding import find_pieces

        pieces = find_pieces(model, given.call, units=units)
    if not pieces.units:
        raise ValueError(f"the {type(model).__name__} has no residual units; give it one, or name some with units=.")
    return pieces


def _lacks_batch_axis(model: nn.Module, given: Example) -> bool:
    """Whether the model takes the example with one more axis, and not as it is."""
    return _takes(model, given, given.input[None]) and not _takes(model, given, given.input)


def _takes(model: nn.Module, given: Example, inputs: Tensor) -> bool:
    try:
        network, x = single_tensor(model, inputs if given.keyword is None else {given.keyword: inputs, **given.rest})
        with torch.no_grad():
            network(x)
    except (RuntimeError, ValueError, TypeError, IndexError):
        return False
    return True


def _assembled(
    model: nn.Module, pieces: Pieces, given: Example, placement: Placement, step: float, name: str
) -> UnrolledNetwork:
    """Run the example through the pieces, for the shapes between them and to see which write into their input."""
    x = placement.tensor(given.batch(2))
    parts: list[Any] = []
    narrow = _Narrow(placement.dtype)
    paths = {id(module): path for path, module in model.named_modules()}
    for index, piece in enumerate([pieces.stem, *pieces.units, pieces.head], start=-1):
        with narrow:
            after, writes = _tried(piece, x, placement)
        path = paths.get(id(piece.function))
        how: dict[str, Any] = {
            "shape_before": tuple(x.shape[1:]),
            "shape_after": tuple(after.shape[1:]),
            "writes": writes,
            "home": None if path is None else (model, path),
        }
        if 0 <= index < len(pieces.units):
            parts.append(Unit(piece, index, placement, **how))
        else:
            kind = Input if index < 0 else Part
            parts.append(kind(piece.name, piece.function, placement, module=piece.module, **how))
        x = after
    if narrow.found is not None:
        warnings.warn(
            f"{type(model).__name__} computes in {narrow.found} inside, whatever it is given, so results and "
            f"derivatives are not those of {placement.dtype}; unroll at dtype={narrow.found}, or take the conversion "
            "out of its code.",
            stacklevel=3,
        )
    parts[0].takes_integers = given.integers
    return UnrolledNetwork(name, parts[0], parts[1:-1], parts[-1], placement, step=step)


def _tried(piece: Piece, x: Tensor, placement: Placement) -> tuple[Tensor, bool]:
    """The output of a piece, and whether it wrote into its input."""
    with torch.no_grad():
        probe = x.clone()
        before = probe._version  # torch counts the writes into a tensor and its views
        try:
            after = Placed(piece.function, placement)(probe)
        except (RuntimeError, TypeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ValueError(
                f"{piece.name!r} cannot run on a batch of shape {tuple(x.shape)} in {placement!r}: {reason}"
            ) from error
    if not isinstance(after, Tensor) or after.ndim < 1 or len(after) != len(x):
        what = f"shape {tuple(after.shape)}" if isinstance(after, Tensor) else f"a {type(after).__name__}"
        raise ValueError(
            f"{piece.name!r} returned {what} for a batch of {len(x)}; a unit maps one tensor to one tensor, with the "
            "batch as its first axis."
        )
    return after, probe._version != before


class _Narrow(TorchDispatchMode):
    """Watches for results that are coarser than a dtype, other than of what is coarse already."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.found: torch.dtype | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        wide = any(isinstance(value, Tensor) and value.dtype == self.dtype for value in args)
        floating = isinstance(result, Tensor) and result.is_floating_point()
        if wide and floating and torch.finfo(result.dtype).eps > torch.finfo(self.dtype).eps:
            self.found = result.dtype
        return result


def _name_of(model: nn.Module) -> str:
    if not isinstance(model, ResidualNetwork):
        return type(model).__name__
    depth = model.architecture.get("depth")
    return str(model.architecture["name"]) + ("" if depth is None else f"-{depth}")
