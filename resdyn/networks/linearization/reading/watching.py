"""One run of a function of tensors, with a note of how each value depends on the input."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from resdyn.networks.linearization.reading.layers import Convolution, Matrix, Selection
from resdyn.networks.linearization.reading.nodes import Input, Layer, Node, Opaque, Pointwise

# torch marks most pointwise operations as such, but not these
_ALSO_POINTWISE = {"_prelu_kernel", "hardswish", "hardswish_", "rsub", "masked_fill_"}
_NORMS = {
    "native_batch_norm",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training",
    "_batch_norm_no_update",
    "cudnn_batch_norm",
}
_POOLING_DEFAULTS: tuple[Any, ...] = ([], 0, False, True, None)
_SELECTIONS = {
    *("view", "_unsafe_view", "reshape", "alias", "flatten", "squeeze", "unsqueeze", "expand", "permute", "transpose"),
    *("t", "slice", "select", "index_select", "constant_pad_nd", "cat", "flip", "roll", "index", "narrow", "repeat"),
    *("pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle", "stack", "lift_fresh"),
}


_CONSTANT = {"detach", "zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full"}
"""Of which autograd knows no derivative."""


class Watched(NamedTuple):
    """What a function returned, and how it came about."""

    value: Any
    node: Node


class Call(NamedTuple):
    """One of the calls of a run: the operation, and how many calls of it came before."""

    op: Any
    earlier: int


class Change(NamedTuple):
    """A call of which the result is to be another one."""

    call: Call
    value: Tensor


def watched(function: Callable[[Tensor], Any], x: Tensor, change: Change | None = None) -> Watched:
    """One run of a function at a batch of one state; what is not understood of it is an :class:`Opaque`.

    With a change, of the run in which that call gives another value: what comes after it, comparisons and detached
    values among it, follows.
    """
    watch = _Watch(x, change)
    with torch.no_grad(), watch:
        value = function(x)
    if not isinstance(value, Tensor):
        return Watched(value, Opaque(x, f"it returns a {type(value).__name__}"))
    return Watched(value, watch.node(value) or Opaque(value, "what it returns does not depend on its input"))


def changed(function: Callable[[Tensor], Tensor], change: Change) -> Callable[[Tensor], Tensor]:
    """A function in which that call gives another value; its derivative is taken there."""

    def run(x: Tensor) -> Tensor:
        with _Changing(change):
            return function(x)

    return run


class _Changing(TorchDispatchMode):
    def __init__(self, change: Change | None) -> None:
        super().__init__()
        self._change = change
        self._calls: Counter[Any] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        return self._called(self._next(func), args, kwargs or {})

    def _next(self, func: Any) -> Call:
        call = Call(func, self._calls[func])
        self._calls[func] += 1
        return call

    def _called(self, call: Call, args: Any, kwargs: Any) -> Any:
        result = call.op(*args, **kwargs)
        if self._change is not None and call == self._change.call:
            result.copy_(self._change.value)
        return result


class _Watch(_Changing):
    def __init__(self, x: Tensor, change: Change | None) -> None:
        super().__init__(change)
        # constants of which a part depends on the input, by where their numbers are
        self._mixed: dict[int, Tensor] = {}
        # tensors are kept, so that their ids stay their own
        self._known: dict[int, tuple[Tensor, Node]] = {}
        self._note(x, Input(x))

    def node(self, value: Any) -> Node | None:
        return self._known[id(value)][1] if id(value) in self._known else None

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        call = self._next(func)
        for t in _tensors((*args, *kwargs.values())):
            if id(t) not in self._known and _place(t) in self._mixed:
                self._note(t, Opaque(t, "it writes values into a constant"))
        operands = [t for t in _tensors((*args, *kwargs.values())) if id(t) in self._known]
        if not operands:
            return self._called(call, args, kwargs)
        written = func._schema.is_mutable
        noted = self._with_nodes(args), {key: self._with_nodes([value])[0] for key, value in kwargs.items()}
        if written:
            self._keep_values_of(args[0])
            if id(args[0]) not in self._known:
                self._mixed[_place(args[0])] = args[0]
        result = self._called(call, args, kwargs)
        values = [t for t in (result if isinstance(result, tuple | list) else [result]) if isinstance(t, Tensor)]
        name = func._schema.name.removeprefix("aten::")
        # comparisons, too, are constant where it counts
        if values and (values[0].is_floating_point() or values[0].is_complex()) and name not in _CONSTANT:
            for value in values[1:]:
                self._note(value, Opaque(value, f"it uses more than the first result of {name}"))
            made = self._made(func, name, noted[0], noted[1], result, operands)
            if isinstance(made, Pointwise):
                made.call = call
            self._note(values[0], made)
            if written:
                self._forget_views_of(values[0])
        return result

    def _with_nodes(self, args: Sequence[Any]) -> tuple[Any, ...]:
        """The arguments, in which nodes stand for what depends on the input."""
        return tuple(
            list(self._with_nodes(value))
            if isinstance(value, list | tuple)
            else self.node(value) or value
            if isinstance(value, Tensor)
            else value
            for value in args
        )

    def _note(self, value: Tensor, node: Node) -> None:
        self._known[id(value)] = (value, node)

    def _keep_values_of(self, written: Tensor) -> None:
        """Copies of what will be overwritten, where a node still needs it."""
        place = _place(written)
        for _, node in self._known.values():
            if _place(node.value) == place:
                node.value = node.value.clone()

    def _forget_views_of(self, written: Tensor) -> None:
        place = _place(written)
        for key, (value, _) in list(self._known.items()):
            if value is not written and _place(value) == place:
                self._known[key] = (value, Opaque(value, "it writes through a view"))

    def _made(self, func: Any, name: str, args: Any, kwargs: Any, result: Any, operands: list[Tensor]) -> Node:
        value = result[0] if isinstance(result, tuple | list) else result
        nodes = [node for node in map(self.node, operands) if node is not None]
        hidden = next((node for node in nodes if isinstance(node, Opaque)), None)
        if hidden is not None:
            return Opaque(value, hidden.reason)
        try:
            found = _recognised(func, name, args, kwargs, result, nodes)
        except (RuntimeError, ValueError, TypeError, IndexError):  # arguments of a form that is not known here
            found = None
        if found is None and value.is_complex():
            return Opaque(value, f"it uses complex numbers ({name})")
        return Opaque(value, f"it uses {name.rstrip('_')} in a way that is not read") if found is None else found


def _recognised(func: Any, name: str, args: Any, kwargs: Any, result: Any, nodes: list[Node]) -> Node | None:
    value = result[0] if isinstance(result, tuple | list) else result
    parent = nodes[0]
    if value.is_complex() or (func._schema.is_mutable and args[0] is not parent):
        return None  # a constant into which a value is written
    if name == "clone" or (name == "_to_copy" and value.dtype == parent.value.dtype):
        return parent
    if name in _NORMS:
        return _normalised(func, name, args, kwargs, value, parent)
    if torch.Tag.pointwise in func.tags or name in _ALSO_POINTWISE:
        if all(node.value.shape == value.shape for node in nodes):
            node = Pointwise(value, func, name.rstrip("_"), args, kwargs)
            # a product of two paths, a gate, is no chain
            return node if node.root is not node or node.is_addition else None
        return None
    if len(nodes) > 1:
        return None
    if name == "convolution":
        return _convolution(args, value, parent)
    if name in ("mm", "addmm"):
        return _product(name, args, kwargs, value, parent)
    if name in ("avg_pool2d", "_adaptive_avg_pool2d", "mean"):
        return _averaged(name, args, kwargs, value, parent)
    if name == "max_pool2d_with_indices":
        return _largest(result, parent)
    if name in _SELECTIONS:
        return _selected(func, name, args, kwargs, value, parent)
    return None


def _normalised(func: Any, name: str, args: Any, kwargs: Any, value: Tensor, parent: Node) -> Node | None:
    by_the_batch = args[5] is True if name != "_native_batch_norm_legit_no_training" and len(args) > 5 else False
    if args[0] is not parent or any(isinstance(a, Node) for a in args[1:]) or by_the_batch:
        return None
    return Pointwise(value, func, "batch norm", args, kwargs)


def _convolution(args: Any, value: Tensor, parent: Node) -> Node | None:
    source, weight, _, stride, padding, dilation, transposed, _, groups = args
    axes = value.ndim - 2
    if source is not parent or not isinstance(weight, Tensor) or transposed or axes not in (1, 2) or len(value) != 1:
        return None
    options: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
    shape = parent.shape
    array = weight.detach().cpu().numpy().astype(np.float64)
    if axes == 1:  # a convolution of images one pixel high
        array, shape = array[:, :, None], (shape[0], 1, shape[1])
        options = {key: (neutral, option[0]) for (key, option), neutral in zip(options.items(), (1, 0, 1), strict=True)}
    pairs: dict[str, Any] = {key: (int(option[0]), int(option[-1])) for key, option in options.items()}
    return Layer(value, parent, Convolution(array, shape, groups=groups, **pairs))


def _product(name: str, args: Any, kwargs: Any, value: Tensor, parent: Node) -> Node | None:
    first, second = args if name == "mm" else args[1:3]
    if any(factor != 1 for factor in kwargs.values()):  # of addmm, on the product or on what is added
        return None
    if first is parent:
        return Layer(value, parent, Matrix(_array(second).T, before=len(value)))
    if second is parent:
        return Layer(value, parent, Matrix(_array(first), after=value.shape[1]))
    return None


def _averaged(name: str, args: Any, kwargs: Any, value: Tensor, parent: Node) -> Node | None:
    before = parent.value.shape
    if name == "mean":
        axes = args[1] if len(args) > 1 else None
        return Layer(value, parent, Matrix(_mean_matrix(tuple(before), axes), has_weights=False))
    if value.ndim != 4:
        return None
    pooling = _pooling(args, kwargs) if name == "avg_pool2d" else _adaptive(before, value)
    if pooling is None:
        return None
    options: dict[str, Any] = {
        "stride": pooling.stride,
        "padding": pooling.padding,
        "dilation": (1, 1),
        "groups": before[1],
    }
    weight = np.full((before[1], 1, *pooling.kernel), 1 / pooling.divisor)
    return Layer(value, parent, Convolution(weight, parent.shape, has_weights=False, **options))


class _Pooling(NamedTuple):
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    divisor: int


def _pooling(args: Any, kwargs: Any) -> _Pooling | None:
    """Of torch's average pooling, where all windows have the same divisor."""
    given: list[Any] = [*args, *_POOLING_DEFAULTS[len(args) - 2 :]]
    _, kernel, stride, padding, ceil, counts_padding, divisor = given
    kernel, padding = _two(kernel), _two(padding)
    if kwargs or ceil or (any(padding) and not counts_padding):
        return None
    return _Pooling(kernel, _two(stride) if stride else kernel, padding, divisor or math.prod(kernel))


def _adaptive(before: torch.Size, value: Tensor) -> _Pooling | None:
    """Of torch's adaptive pooling, where all windows have the same size."""
    if before[2] % value.shape[2] or before[3] % value.shape[3]:
        return None
    kernel = before[2] // value.shape[2], before[3] // value.shape[3]
    return _Pooling(kernel, kernel, (0, 0), math.prod(kernel))


def _mean_matrix(shape: tuple[int, ...], axes: Any) -> Any:
    axes = tuple(range(len(shape))) if not axes else tuple(axis % len(shape) for axis in axes)
    kept = tuple(1 if k in axes else length for k, length in enumerate(shape))
    target = np.broadcast_to(np.arange(math.prod(kept)).reshape(kept), shape).ravel()
    share = math.prod(kept) / target.size
    return sparse.csr_array((np.full(target.size, share), (target, np.arange(target.size))))


def _largest(result: Any, parent: Node) -> Node | None:
    value, place = result[:2]
    if value.ndim != 4 or len(value) != 1:
        return None
    pixels = parent.value.shape[2] * parent.value.shape[3]
    source = place[0] + torch.arange(value.shape[1])[:, None, None].to(place) * pixels
    return Layer(value, parent, Selection(source.reshape(-1).cpu().numpy(), parent.value.numel(), is_largest=True))


def _selected(func: Any, name: str, args: Any, kwargs: Any, value: Tensor, parent: Node) -> Node | None:
    """By the same operation on the numbers 1, 2, … of the inputs, with 0 for what is no input."""
    numbers = torch.arange(1, parent.value.numel() + 1, device=value.device).reshape(parent.value.shape)

    def numbered(a: Any) -> Any:
        if a is parent:
            return numbers
        if isinstance(a, list | tuple) and name in ("cat", "stack"):
            return [numbers if b is parent else torch.zeros_like(b, dtype=numbers.dtype) for b in a]
        return a

    if name == "constant_pad_nd":
        source = func(numbers, args[1])
    elif name in ("view", "_unsafe_view"):  # strides may be others than those of the values
        source = numbers.reshape(args[1])
    else:
        source = func(*map(numbered, args), **{key: numbered(a) for key, a in kwargs.items()})
    return Layer(value, parent, Selection(source.reshape(-1).cpu().numpy() - 1, parent.value.numel()))


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _array(tensor: Tensor) -> Any:
    return tensor.detach().cpu().numpy().astype(np.float64)


def _two(value: Any) -> tuple[int, int]:
    first, *rest = [value] if isinstance(value, int) else value
    return int(first), int(rest[0] if rest else first)
