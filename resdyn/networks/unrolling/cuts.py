r"""Cut vertices: the values that every path from the input to the logits passes.

A network is a chain :math:`c_m \circ \dots \circ c_1` exactly at such values: a node c of the graph of the data is a
cut vertex, if it lies on *every* path from source to sink (it dominates the sink). What comes after c then is a
function of c alone, and c can be the state of a dynamical system. Between two neighbouring cut vertices lies a
*region*: one operation, or parallel paths that start at the first and meet in the second.

They are found in one sweep. Put the nodes in topological order. As every node lies on some path from source to sink,
c is on every path if and only if no edge (u, w) leaps over it, u < c < w: a path that avoids c must leap over its place
in the order, and an edge that leaps over c is part of a path that avoids c.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import fx

from resdyn.networks.unrolling.graphs import DataGraph


@dataclass(frozen=True, eq=False)
class Region:
    """What lies between two neighbouring cut vertices.

    Attributes
    ----------
    start, end : Node
        The cut vertices.
    nodes : tuple of Nodes
        From start, not included, to end, included.
    """

    start: fx.Node
    end: fx.Node
    nodes: tuple[fx.Node, ...]


def cut_vertices(graph: DataGraph) -> list[fx.Node]:
    """The cut vertices from source to sink, both included."""
    nodes = list(graph.data)
    furthest, cuts = 0, []
    for node in nodes:
        # edges that begin before this node and end after it leap over it
        if furthest <= graph.data[node]:
            cuts.append(node)
        users = (graph.data[user] for user in node.users if user in graph.data)
        furthest = max(furthest, *users, 0) if node is not graph.sink else furthest
    return cuts


def regions(graph: DataGraph, cuts: Sequence[fx.Node]) -> list[Region]:
    """The regions between neighbouring cut vertices."""
    nodes = list(graph.data)
    return [
        Region(start, end, tuple(nodes[graph.data[start] + 1 : graph.data[end] + 1])) for start, end in pairwise(cuts)
    ]
