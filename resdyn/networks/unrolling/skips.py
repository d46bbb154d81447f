r"""Residual additions: regions :math:`y = S(x) + g(x)` in which one summand is a skip path.

A region between two cut vertices x and y is residual, if y is a sum (or difference) and one of its summands is a skip
path of x:

* x itself, or x times something that does not depend on the data (the damped skips of [yang2020]_);
* views, slices, paddings, poolings of x;
* a projection: one layer with weights at most, with norms and activations around it, and fewer such layers than
  the other summands together have.

All other summands together are the branch, and a branch holds a parameter or an activation: ``x - x.mean()`` is no
residual unit. A product of two paths (gates, squeeze and excitation), a concatenation (DenseNet, U-Net) and additions
inside a branch make none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import fx

from resdyn.networks.unrolling.cuts import Region
from resdyn.networks.unrolling.graphs import DataGraph
from resdyn.networks.unrolling.operations import ACTIVATIONS, ADDITIONS, MIXING, NORMS, SCALINGS, WEIGHT_LAYERS, name_of

Term = tuple[float, fx.Node]
"""A summand and its factor."""


@dataclass(frozen=True, eq=False)
class Addition:
    """A residual addition.

    Attributes
    ----------
    region : Region
        From the fork of the two paths to the sum.
    skip : term
        The skip path.
    branch : tuple of terms
        All other summands.
    """

    region: Region
    skip: Term
    branch: tuple[Term, ...]


def residual_addition(graph: DataGraph, region: Region) -> Addition | None:
    """The addition of a skip path in which a region ends; None where it is not residual."""
    if not _adds_data(graph, region.end):
        return None
    inside = set(region.nodes)
    terms = _summands(graph, region.end, 1.0, inside)
    skips = [term for term in terms if _is_skip(graph, term[1], region)]
    if not skips:
        return None
    skip = min(skips, key=lambda term: _effort(graph, term[1], region))
    branch = tuple(term for term in terms if term is not skip)
    branch_nodes = {node for _, node in branch for node in path_to(graph, node, region)}
    if not _does_something(graph, branch_nodes):
        return None
    path = path_to(graph, skip[1], region)
    if not _is_linear(path) and _weights(graph, path) >= _weights(graph, branch_nodes):
        return None
    return Addition(region, skip, branch)


def count_additions(graph: DataGraph) -> int:
    """How many additions of two values that depend on the data there are."""
    return sum(_adds_data(graph, node) for node in graph.data)


def _adds_data(graph: DataGraph, node: fx.Node) -> bool:
    return name_of(node) in ADDITIONS and len(node.args) > 1 and all(operand in graph.data for operand in node.args[:2])


def _summands(graph: DataGraph, node: fx.Node, factor: float, inside: set[fx.Node]) -> list[Term]:
    if node not in inside or not _adds_data(graph, node):
        return [(factor, node)]
    terms = []
    scale = factor * float(node.kwargs.get("alpha", 1)) * (-1.0 if name_of(node) == "sub" else 1.0)  # type: ignore[arg-type]
    for operand, its_factor in zip(node.args[:2], (factor, scale), strict=True):
        assert isinstance(operand, fx.Node)
        used_once = sum(user in graph.data for user in operand.users) == 1
        terms += _summands(graph, operand, its_factor, inside if used_once else set())
    return terms


def path_to(graph: DataGraph, node: fx.Node, region: Region) -> set[fx.Node]:
    """What leads from the start of a region to a node: all it depends on there, itself included, the start not."""
    inside, found, waiting = set(region.nodes), set(), [node]
    while waiting:
        current = waiting.pop()
        if current in inside and current not in found:
            found.add(current)
            waiting += graph.operands(current)
    return found


def _is_skip(graph: DataGraph, node: fx.Node, region: Region) -> bool:
    path = path_to(graph, node, region)
    weights = _weights(graph, path)
    if weights > 1 or any(name_of(step) in MIXING for step in path):
        return False
    joins = [step for step in path if len(graph.operands(step)) > 1]
    # new channels may be made of old ones, which joins paths without weights
    return all(name_of(step) == "cat" and weights == 0 for step in joins)


def _effort(graph: DataGraph, node: fx.Node, region: Region) -> tuple[int, int]:
    path = path_to(graph, node, region)
    return _weights(graph, path), len(path)


def _is_linear(path: set[fx.Node]) -> bool:
    """Whether a path only hands on or scales."""
    return all(name_of(step) in SCALINGS for step in path)


def _weights(graph: DataGraph, nodes: set[fx.Node] | Sequence[fx.Node]) -> int:
    return sum(name_of(node) in WEIGHT_LAYERS and _has_background(graph, node) for node in nodes)


def _does_something(graph: DataGraph, nodes: set[fx.Node]) -> bool:
    kinds = {name_of(node) for node in nodes}
    if kinds & (ACTIVATIONS | NORMS | MIXING):
        return True
    return any(_has_background(graph, node) for node in nodes)


def _has_background(graph: DataGraph, node: fx.Node) -> bool:
    return any(operand in graph.parametric for operand in node.all_input_nodes)
