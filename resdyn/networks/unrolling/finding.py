"""The residual units of any network: traced, cut where all paths meet, named after its submodules."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from resdyn.networks.unrolling.calls import (
    differentiable_kernels,
    refuse_interaction,
    refuse_randomness,
    refuse_training,
    single_tensor,
)
from resdyn.networks.unrolling.cuts import cut_vertices, regions
from resdyn.networks.unrolling.graphs import DataGraph, TracingError, trace
from resdyn.networks.unrolling.hooks import pieces_by_hooks
from resdyn.networks.unrolling.named import named_spans, paths_of
from resdyn.networks.unrolling.operations import WEIGHT_LAYERS, name_of
from resdyn.networks.unrolling.pieces import Piece, Pieces
from resdyn.networks.unrolling.skips import count_additions, path_to, residual_addition
from resdyn.networks.unrolling.spans import Span, spans
from resdyn.networks.unrolling.subgraphs import has_attention, subgraph


def find_pieces(model: nn.Module, example: Any, *, units: Sequence[str | nn.Module] | None = None) -> Pieces:
    """A network as stem, residual units and head, none of which copies a parameter.

    The units are found from additions of a skip path (:mod:`resdyn.networks.unrolling.skips` says which,
    :mod:`resdyn.networks.unrolling.spans` where they begin and end), or are the submodules that the caller names. The
    network is not changed.

    Parameters
    ----------
    model : module
        In eval mode.
    example : tensor, array, or dict with one of them
        A batch of inputs, samples first; in a dict under the name of the argument of ``model``. Two samples are used.
    units : sequence of names or submodules, optional
        What is a unit; names as in ``model.named_modules()``. Each call is one unit, and what lies between two
        joins the front of the later.

    Returns
    -------
    Pieces
        ``head(unit_n(… unit_1(stem(x))))`` is the network's answer, for any batch size.

    Raises
    ------
    TypeError
        If the model is no module, the example no tensor, or the result has no logits.
    ValueError
        If layers are in training mode, samples act on each other, there is no residual unit, or named units are not
        steps of a chain.
    RuntimeError
        If torch cannot trace the network, and no units are named.
    """
    network, x = single_tensor(model, example)
    refuse_training(model)
    paths = None if units is None else paths_of(model, units)
    with torch.no_grad(), differentiable_kernels():
        network(x)  # what is wrong with the call itself is said by the network, not by the tracer
    try:
        graph = trace(network, x)
    except TracingError as error:
        if paths is not None:
            refuse_randomness(network, x)
            refuse_interaction(network, x)
            return pieces_by_hooks(network, x, paths, str(error))
        raise RuntimeError(
            f"torch cannot trace {type(model).__name__} ({error}); name its residual units, for example "
            f"units={_likely_units(model)!r}."
        ) from error
    refuse_interaction(network, x)
    chain = regions(graph, cut_vertices(graph))
    additions = [addition for region in chain if (addition := residual_addition(graph, region))]
    if paths is None and not additions:
        raise ValueError(_nothing_found(model, graph, len(chain)))
    found = spans(graph, chain, additions) if paths is None else named_spans(graph, chain, additions, paths)
    if not found:
        raise ValueError(_nothing_found(model, graph, len(chain)))
    return _checked(_pieces(graph, found), x)


def _pieces(graph: DataGraph, found: Sequence[Span]) -> Pieces:
    names = _names(graph, found)
    stem = subgraph(graph, graph.source, [(1.0, found[0].start)])
    head = subgraph(graph, found[-1].end, [(1.0, graph.sink)])
    units = [_unit(graph, span, name) for span, name in zip(found, names, strict=True)]
    return Pieces(Piece("stem", stem), units, Piece("head", head))


def _unit(graph: DataGraph, span: Span, name: str) -> Piece:
    function = subgraph(graph, span.start, [(1.0, span.end)])
    module = _own_module(graph, span)
    branch = shortcut = None
    is_identity = False
    if len(span.additions) == 1:
        (addition,) = span.additions
        branch = subgraph(graph, span.start, addition.branch)
        shortcut = subgraph(graph, span.start, [addition.skip])
        is_identity = addition.skip == (1.0, span.start)
    return Piece(name, function, module, branch, shortcut, is_identity)


def _own_module(graph: DataGraph, span: Span) -> nn.Module | None:
    """The submodule one call of which is exactly this unit."""
    if not span.calls:
        return None
    call = span.calls[-1]
    low, high = graph.data[span.start], graph.data[span.end]
    inside = [low < place <= high for place in graph.data.values()]
    own = [call in graph.calls(node) or name_of(node) == "getitem" for node in graph.data]
    return graph.model.get_submodule(call[1]) if inside == own else None


def _checked(pieces: Pieces, x: Tensor) -> Pieces:
    """The pieces, with the caller's own submodule as function where it does the same for an example."""
    units = []
    with torch.no_grad(), differentiable_kernels():
        x = pieces.stem.function(x)
        for unit in pieces.units:
            result = unit.function(x)
            units.append(_with_own_function(unit, x, result))
            x = result
    return Pieces(pieces.stem, units, pieces.head)


def _with_own_function(unit: Piece, x: Tensor, result: Tensor) -> Piece:
    if unit.module is None or has_attention(unit.function):
        return unit
    try:
        own = unit.module(x)
    except (TypeError, ValueError, RuntimeError):
        return unit  # it needs more than the state
    same = isinstance(own, Tensor) and own.shape == result.shape and torch.allclose(own, result, equal_nan=True)
    return (
        Piece(unit.name, unit.module, unit.module, unit.branch, unit.shortcut, unit.shortcut_is_identity)
        if same
        else unit
    )


# --- names -------------------------------------------------------------------------------------------


def _names(graph: DataGraph, found: Sequence[Span]) -> list[str]:
    """The path of the submodule; what is one of several units in it also has the name of a layer, or its number."""
    calls = [span.calls[-1] if span.calls else ("", "") for span in found]
    times = Counter(calls)
    words = [_word(graph, span) for span in found]
    seen: Counter[tuple[str, str]] = Counter()
    names = []
    for call, word in zip(calls, words, strict=True):
        name = call[1] or type(graph.model).__name__
        if times[call] > 1:
            its_words = [w for c, w in zip(calls, words, strict=True) if c == call]
            usable = all(its_words) and len(set(its_words)) == len(its_words)
            name = f"{name}[{word if usable else seen[call]}]"
        seen[call] += 1
        names.append(name)
    return _distinct(names)


def _word(graph: DataGraph, span: Span) -> str:
    """The submodules of a unit's module that hold the weights of its branches."""
    depth = len(span.calls)
    nodes = {
        node
        for addition in span.additions
        for _, summand in addition.branch
        for node in path_to(graph, summand, addition.region)
        if name_of(node) in WEIGHT_LAYERS
    }
    inner = [graph.calls(node)[depth:] for node in sorted(nodes, key=graph.data.__getitem__)]
    children = dict.fromkeys(calls[0][1].rpartition(".")[2] for calls in inner if calls)
    return "+".join(children) if len(children) <= 2 else ""


def _distinct(names: Sequence[str]) -> list[str]:
    """Names with the number of the call, from 1, where a submodule is called several times."""
    total, seen = Counter(names), Counter[str]()
    distinct = []
    for name in names:
        seen[name] += 1
        distinct.append(f"{name}@{seen[name]}" if total[name] > 1 else name)
    return distinct


# --- errors ------------------------------------------------------------------------------------------


def _nothing_found(model: nn.Module, graph: DataGraph, n_regions: int) -> str:
    kinds = Counter(name_of(node) for node in graph.data)
    layers = sum(kinds[kind] for kind in WEIGHT_LAYERS)
    return (
        f"no addition of a skip path was found in {type(model).__name__}: {layers} layers with weights, "
        f"{count_additions(graph)} additions and {kinds['cat']} concatenations of data, {n_regions} steps between "
        "values that all paths pass, none of them x + g(x); name the units, units=[...], or pass a residual network."
    )


def _likely_units(model: nn.Module) -> list[str]:
    """The children of the longest list of submodules."""
    lists = [
        [f"{path}.{child}".lstrip(".") for child, _ in module.named_children()]
        for path, module in model.named_modules()
        if isinstance(module, nn.Sequential | nn.ModuleList)
    ]
    names = max(lists, key=len, default=["layer1.0"])
    return [*names[:2], "…"] if len(names) > 2 else names
