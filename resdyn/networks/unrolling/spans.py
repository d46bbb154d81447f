r"""Where a residual unit begins and ends.

A residual addition says where two paths fork and meet, not where the unit ends: an activation after the addition
(post-activation ResNets) or a norm (post-norm transformers) belongs to it, a pooling between stages does not. Let M be
the innermost call of a submodule that holds both paths and the addition.

* M holds no other unit and is not the network itself: the unit ends where M ends, at the latest where the next skip
  path forks. The first unit also begins where M begins.
* Else (functional code; a transformer layer with attention and MLP) the unit takes what follows in M directly and is an
  activation or a factor, or a norm if the next unit's skip path is the identity. (If the next skip path is a
  projection, then norm and activation before it are its pre-activation.)
* What remains between two units, a transition such as norm, pooling or patch merging, is the front of the next one: it
  is applied before that unit's paths fork. So the chain has no gaps, and the transition is part of the unit after it.

Before the first unit comes the stem, after the last the head. The first axis of a state counts samples: an end at
another value moves on to the next one that is a state, and units that then overlap become one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import fx

from resdyn.networks.unrolling.cuts import Region
from resdyn.networks.unrolling.graphs import Call, DataGraph
from resdyn.networks.unrolling.operations import ACTIVATIONS, NORMS, SCALINGS, is_structural, name_of
from resdyn.networks.unrolling.skips import Addition


@dataclass(frozen=True, eq=False)
class Span:
    """One unit: what maps the value at ``start`` to the value at ``end``.

    Attributes
    ----------
    additions : tuple of Additions
        The residual additions on the way.
    calls : tuple of Calls
        The submodule calls, outermost first, in which all of the paths and their addition stand.
    """

    start: fx.Node
    end: fx.Node
    additions: tuple[Addition, ...]
    calls: tuple[Call, ...]


def shared_calls(graph: DataGraph, nodes: Sequence[fx.Node]) -> tuple[Call, ...]:
    """The submodule calls in which all nodes stand, outermost first."""
    stacks = [graph.calls(node) for node in nodes if not is_structural(node)]
    shared = []
    for level in zip(*stacks, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return tuple(shared)


def spans(graph: DataGraph, chain: Sequence[Region], additions: Sequence[Addition]) -> list[Span]:
    """The units around residual additions, without gaps between them."""
    if not additions:
        return []
    calls = [shared_calls(graph, addition.region.nodes) for addition in additions]
    position = {region.start: k for k, region in enumerate(chain)}
    forks = [position[addition.region.start] for addition in additions]
    found: list[Span] = []
    for k, addition in enumerate(additions):
        alone = len(calls[k]) > 1 and sum(calls[k][-1] in others for others in calls) == 1
        following = additions[k + 1] if k + 1 < len(additions) else None
        between = chain[forks[k] + 1 : forks[k + 1] if following else None]
        norms = following is None or following.skip[1] is following.region.start
        tail = _tail(graph, between, calls[k], alone=alone, norms=norms)
        start = addition.region.start
        if alone and not found:
            start = _front(graph, chain[: forks[k]], calls[k], start)
        found.append(Span(start, tail[-1].end if tail else addition.region.end, (addition,), calls[k]))
    return _between_states(graph, chain, found)


def _tail(
    graph: DataGraph, between: Sequence[Region], calls: Sequence[Call], *, alone: bool, norms: bool
) -> list[Region]:
    tail = []
    for region in between:
        inside = all(is_structural(node) or set(calls) <= set(graph.calls(node)) for node in region.nodes)
        if not inside or not (alone or all(_finishes(node, norms) for node in region.nodes)):
            break
        tail.append(region)
    return tail


def _finishes(node: fx.Node, norms: bool) -> bool:
    name = name_of(node)
    return name in ACTIVATIONS | SCALINGS or (norms and (name in NORMS or is_structural(node)))


def _front(graph: DataGraph, before: Sequence[Region], calls: Sequence[Call], start: fx.Node) -> fx.Node:
    for region in reversed(before):
        if not all(is_structural(node) or set(calls) <= set(graph.calls(node)) for node in region.nodes):
            break
        start = region.start
    return start


def _between_states(graph: DataGraph, chain: Sequence[Region], found: Sequence[Span]) -> list[Span]:
    """The units joined without gaps, their ends moved to states, and those merged that are not apart then."""
    cuts = [chain[0].start, *(region.end for region in chain)]
    states = [node for node in cuts if graph.is_state(node)]
    merged: list[Span] = []
    for span in found:
        start = max((node for node in states if graph.data[node] <= graph.data[span.start]), key=graph.data.__getitem__)
        end = next((node for node in states if graph.data[node] >= graph.data[span.end]), None)
        if end is None:
            continue
        if merged:
            start = merged[-1].end
            if graph.data[start] >= graph.data[end]:
                last = merged.pop()
                span = replace(span, additions=last.additions + span.additions, calls=_common(last.calls, span.calls))
                start = last.start
        merged.append(replace(span, start=start, end=end))
    return merged


def _common(a: Sequence[Call], b: Sequence[Call]) -> tuple[Call, ...]:
    return tuple(x for x, y in zip(a, b, strict=False) if x == y)
