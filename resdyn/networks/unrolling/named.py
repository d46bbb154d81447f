"""Units that the caller names: submodules, each of whose calls is one unit."""

from collections.abc import Sequence
from difflib import get_close_matches

from torch import fx, nn

from resdyn.networks.unrolling.cuts import Region
from resdyn.networks.unrolling.graphs import Call, DataGraph
from resdyn.networks.unrolling.skips import Addition
from resdyn.networks.unrolling.spans import Span


def paths_of(model: nn.Module, units: Sequence[str | nn.Module]) -> list[str]:
    """The paths of named submodules, each once.

    Raises
    ------
    ValueError
        If the network has no such submodule, or none was named.
    """
    if isinstance(units, str | nn.Module):
        units = [units]
    modules = dict(model.named_modules(remove_duplicate=False))
    paths: list[str] = []
    for unit in units:
        found = [unit] if isinstance(unit, str) and unit in modules else []
        if isinstance(unit, nn.Module):
            found = [path for path, module in modules.items() if module is unit]
        if not found:
            raise ValueError(_unknown(unit, list(modules)))
        paths += [path for path in found if path not in paths]
    if not paths:
        raise ValueError("units is empty; name at least one submodule, or leave it out to have the units found.")
    return paths


def _unknown(unit: object, names: Sequence[str]) -> str:
    if not isinstance(unit, str):
        return f"units holds {type(unit).__name__}, which is no submodule of the network; see model.named_modules()."
    near = get_close_matches(unit, names, n=3) or [name for name in names if name][:5]
    return (
        f"the network has no submodule {unit!r}; names are those of model.named_modules(), such as {', '.join(near)}."
    )


def named_spans(
    graph: DataGraph, chain: Sequence[Region], additions: Sequence[Addition], paths: Sequence[str]
) -> list[Span]:
    """One unit per call of a named submodule.

    A unit begins where the one before ends: what lies between joins the front of the later one.

    Raises
    ------
    ValueError
        If a submodule is not called, takes or returns more than one value that depends on the data, is
        passed by another path, or overlaps another one.
    """
    calls: dict[tuple[Call, ...], list[fx.Node]] = {}
    for node in graph.data:
        stack = graph.calls(node)
        for depth, (_, path) in enumerate(stack, start=1):
            if path in paths:
                calls.setdefault(stack[:depth], []).append(node)
    missing = [path for path in paths if path not in {stack[-1][1] for stack in calls}]
    if missing:
        raise ValueError(
            f"{missing[0]!r} is no step from the input to the logits: no operation on the data is its own."
        )
    cuts = {chain[0].start, *(region.end for region in chain)}
    found: list[Span] = []
    for stack, nodes in sorted(calls.items(), key=lambda item: graph.data[item[1][0]]):
        begin, end = _ends(graph, nodes, stack[-1][1], cuts)
        if found and graph.data[begin] < graph.data[found[-1].end]:
            raise ValueError(
                f"{stack[-1][1]!r} begins before {found[-1].calls[-1][1]!r} ends; name units that follow each other."
            )
        start = found[-1].end if found else begin
        low, high = graph.data[start], graph.data[end]
        inside = [a for a in additions if low <= graph.data[a.region.start] and graph.data[a.region.end] <= high]
        found.append(Span(start, end, tuple(inside), stack))
    return found


def _ends(graph: DataGraph, nodes: Sequence[fx.Node], name: str, cuts: set[fx.Node]) -> tuple[fx.Node, fx.Node]:
    own = set(nodes)
    inputs = {operand for node in nodes for operand in graph.operands(node) if operand not in own}
    outputs = {
        node for node in nodes if node is graph.sink or any(u in graph.data and u not in own for u in node.users)
    }
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(
            f"{name!r} takes {len(inputs)} and returns {len(outputs)} values that depend on the data, but a unit maps "
            "one state to one state; name submodules that follow each other."
        )
    (begin,), (end,) = inputs, outputs
    for node, what in ((begin, "input"), (end, "output")):
        if node not in cuts:
            raise ValueError(
                f"the {what} of {name!r} is not the whole state: another path leads past it to the logits; name the "
                "submodule around both paths."
            )
        if not graph.is_state(node):
            shape = tuple(map(str, node.meta["val"].shape)) if hasattr(node.meta.get("val"), "shape") else "no tensor"
            raise ValueError(f"the {what} of {name!r} has shape {shape}, but the first axis of a state counts samples.")
    return begin, end
