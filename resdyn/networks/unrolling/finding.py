"""The residual units of any network: traced, cut where all paths meet, named after its submodules."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from resdyn.networks.unrolling.calls import (
    differentiable_kernels,
    refuse_interaction,
    refuse_randomness,
    single_tensor,
)
from resdyn.networks.unrolling.cuts import cut_vertices, regions
from resdyn.networks.unrolling.graphs import Call, DataGraph, TracingError, trace
from resdyn.networks.unrolling.hooks import pieces_by_hooks
from resdyn.networks.unrolling.named import named_spans, paths_of
from resdyn.networks.unrolling.operations import WEIGHT_LAYERS, is_structural, name_of
from resdyn.networks.unrolling.pieces import Piece, Pieces
from resdyn.networks.unrolling.placement import refuse_training
from resdyn.networks.unrolling.skips import count_additions, path_to, residual_addition
from resdyn.networks.unrolling.spans import Span, shared_calls, spans
from resdyn.networks.unrolling.subgraphs import Subgraph, has_attention, subgraph


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
    model = network.model
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
    found = spans(graph, chain, additions) if paths is None else named_spans(graph, chain, additions, paths)
    if not found:
        raise ValueError(_nothing_found(model, graph, len(chain)))
    return _with_own_functions(_pieces(graph, found), x, graph)


def _pieces(graph: DataGraph, found: Sequence[Span]) -> Pieces:
    nodes = list(graph.data)
    first, last = graph.data[found[0].start], graph.data[found[-1].end]
    stem = Span(graph.source, nodes[first], (), shared_calls(graph, nodes[1 : first + 1]))
    head = Span(nodes[last], graph.sink, (), shared_calls(graph, nodes[last + 1 :]))
    sizes = Counter(call for node in graph.data if not is_structural(node) for call in graph.calls(node))
    pieces = [
        _piece(graph, span, name, sizes)
        for span, name in zip((stem, *found, head), ("stem", *_names(graph, found), "head"), strict=True)
    ]
    pieces = _with_shared_functions(pieces)
    return Pieces(pieces[0], pieces[1:-1], pieces[-1], converts=bool(graph.conversions))


def _with_shared_functions(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces, with one function for those that compute the same with the same weights."""
    known: dict[Any, nn.Module] = {}

    def shared(function: nn.Module | None) -> Any:
        return known.setdefault(function.signature, function) if isinstance(function, Subgraph) else function

    kinds = ("function", "branch", "shortcut", "before", "after")
    return [replace(piece, **{kind: shared(getattr(piece, kind)) for kind in kinds}) for piece in pieces]


def _piece(graph: DataGraph, span: Span, name: str, sizes: Counter[Call]) -> Piece:
    function = subgraph(graph, span.start, [(1.0, span.end)])
    module = _own_module(graph, span, sizes)
    if len(span.additions) != 1:
        return Piece(name, function, module)
    (addition,) = span.additions
    branch = subgraph(graph, span.start, addition.branch)
    shortcut = subgraph(graph, span.start, [addition.skip])
    is_identity = addition.skip == (1.0, span.start)
    end = addition.region.end
    if not graph.is_state(end):  # its first axis does not count samples
        return Piece(name, function, module, branch, shortcut, is_identity)
    before = function if end is span.end else subgraph(graph, span.start, [(1.0, end)])
    after = subgraph(graph, end, [(1.0, span.end)])
    return Piece(name, function, module, branch, shortcut, is_identity, before=before, after=after)


def _own_module(graph: DataGraph, span: Span, sizes: Counter[Call]) -> nn.Module | None:
    """The submodule one call of which is exactly this piece; ``sizes`` counts the operations of each call."""
    low, high = graph.data[span.start], graph.data[span.end]
    inside = [node for node in list(graph.data)[low + 1 : high + 1] if not is_structural(node)]
    if not span.calls or sizes[span.calls[-1]] != len(inside):
        return None
    if any(span.calls[-1] not in graph.calls(node) for node in inside):
        return None
    return graph.model.get_submodule(span.calls[-1][1])


def _with_own_functions(pieces: Pieces, x: Tensor, graph: DataGraph) -> Pieces:
    """The pieces, with the caller's own submodule as function where it does the same, at any floating-point type."""
    paths = {id(module): path for path, module in graph.model.named_modules()}
    checked = []
    with torch.no_grad(), differentiable_kernels():
        for piece in (pieces.stem, *pieces.units, pieces.head):
            result = piece.function(x)
            own = paths.get(id(piece.module)) not in graph.conversions and _does_the_same(piece, x, result)
            checked.append(replace(piece, function=cast(nn.Module, piece.module)) if own else piece)
            x = result
    return replace(pieces, stem=checked[0], units=checked[1:-1], head=checked[-1])


def _does_the_same(piece: Piece, x: Tensor, result: Tensor) -> bool:
    if piece.module is None or has_attention(piece.function):
        return False
    given = x.clone()
    try:
        own = piece.module(given)
    except (TypeError, ValueError, RuntimeError):
        return False  # it needs more than the state
    if not isinstance(own, Tensor) or own.shape != result.shape:
        return False
    # one that overwrites its input would change a state that somebody keeps
    return torch.allclose(own, result, equal_nan=True) and torch.allclose(given, x, rtol=0, atol=0, equal_nan=True)


# --- names -------------------------------------------------------------------------------------------


def _names(graph: DataGraph, found: Sequence[Span]) -> list[str]:
    """The path of the submodule; what is one of several units in it also has the name of a layer, or its number."""
    calls = [span.calls[-1] if span.calls else ("", "") for span in found]
    words = [_word(graph, span) for span in found]
    names, seen = [], Counter[Call]()
    for call, word in zip(calls, words, strict=True):
        name = call[1] or type(graph.model).__name__
        if sum(call in span.calls for span in found) > 1:
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
    path = f"{span.calls[-1][1]}." if span.calls else ""
    children = dict.fromkeys(calls[0][1].removeprefix(path) for calls in inner if calls)
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
