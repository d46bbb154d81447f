"""A traced graph without operations in place: ``y += x`` becomes ``z = y + x``.

This is right where y is a tensor of its own, of which nobody holds a view. Then the rewriting is a matter of names. All
other cases are left to torch's own functionalisation, which runs the network a second time on symbols and takes longer
than the trace itself.
"""

from typing import Any

import torch
from torch import Tensor, fx

from resdyn.networks.unrolling.operations import ACTIVATIONS, NORMS, WEIGHT_LAYERS, argument, name_of, words

# results that share memory with no argument; reshape, flatten, contiguous, dropout may
_FRESH = (
    (WEIGHT_LAYERS - {"einsum"})
    | NORMS
    | ACTIVATIONS
    | words(
        "add sub mul div softmax mean cat max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d "
        "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d scaled_dot_product_attention"
    )
)


def without_idle_steps(graph: fx.Graph) -> None:
    """Take out dropout that drops nothing, and conversions to the type and device that a value has."""
    for node in list(graph.nodes):
        if _is_idle(node):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)


def _is_idle(node: fx.Node) -> bool:
    name = name_of(node)
    if "dropout" in name:
        return argument(node, 2, "train", True) is False
    if name != "to" or not isinstance(node.args[0], fx.Node):
        return False
    before, after = node.args[0].meta.get("val"), node.meta.get("val")
    same = isinstance(before, Tensor) and isinstance(after, Tensor) and before.dtype == after.dtype
    return same and before.device == after.device and not node.kwargs.get("copy")


def rewrite_fused_sums(graph: fx.Graph) -> None:
    """Write ``lerp``, ``addcmul`` and ``addcdiv`` as the sums and products that they are."""
    for node in list(graph.nodes):
        if name_of(node) not in ("lerp", "addcmul", "addcdiv"):
            continue
        x, first, second = node.args[:3]
        with graph.inserting_before(node):
            if name_of(node) == "lerp":
                rest = _put(graph, node, "rsub.Scalar" if isinstance(second, fx.Node) else "", second, 1)
                rest = 1 - second if rest is None else rest
                x, total = _product(graph, node, "mul", x, rest), _product(graph, node, "mul", first, second)
            else:
                total = _product(graph, node, "mul" if name_of(node) == "addcmul" else "div", first, second)
                factor = argument(node, 3, "value", 1)
                total = total if factor == 1 else _product(graph, node, "mul", total, factor)
            plain = _put(graph, node, "add.Tensor", x, total)
        node.replace_all_uses_with(plain)
        graph.erase_node(node)


def _product(graph: fx.Graph, node: fx.Node, kind: str, a: Any, b: Any) -> Any:
    return _put(graph, node, f"{kind}.{'Tensor' if isinstance(b, fx.Node) else 'Scalar'}", a, b)


def _put(graph: fx.Graph, like: fx.Node, operation: str, *args: Any) -> Any:
    """An operation of a fused one; None for none."""
    if not operation:
        return None
    packet, _, overload = operation.partition(".")
    target = getattr(getattr(torch.ops.aten, packet), overload)
    new = graph.call_function(target, args)
    new.meta = dict(like.meta) | {"val": target(*(a.meta["val"] if isinstance(a, fx.Node) else a for a in args))}
    return new


def made_functional(graph: fx.Graph) -> bool:
    """Rewrite the graph; False, with the graph half rewritten, where that would need more than names."""
    position = {node: k for k, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        if not _mutates(node):
            continue
        replacement, owner = _functional(node.target), node.args[0]
        if replacement is None or not isinstance(owner, fx.Node) or name_of(owner) not in _FRESH:
            return False
        others = [user for user in owner.users if user is not node]
        # the tracer lets later readers read the result already
        if any(name_of(user) not in _FRESH or position[user] > position[node] for user in others):
            return False
        node.target = replacement
    return True


def _mutates(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _functional(target: Any) -> Any:
    name = target._schema.name.partition("::")[2]
    packet = getattr(torch.ops.aten, name[:-1], None) if name.endswith("_") else None
    return getattr(packet, target._overloadname, None)
