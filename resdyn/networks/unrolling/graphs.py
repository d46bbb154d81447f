r"""A network as a graph of operations on data.

Of all values in a forward pass only some depend on the values of the input: *data*. The others (parameters, position
embeddings, masks made of sizes) are *background*: each piece of the network computes those it needs from its own
parameters and from the size of its own batch. The graph of the data has one source, the input, and one sink, the
logits. Only nodes on a path from source to sink count.
"""

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx, nn

from resdyn.networks.unrolling.calls import SingleTensor, differentiable_kernels
from resdyn.networks.unrolling.functional import made_functional, rewrite_fused_sums, without_idle_steps
from resdyn.networks.unrolling.operations import acts_at_random, name_of

Call = tuple[str, str]
"""One call of a submodule: a key that is unique, and the path of the submodule."""

_CHILD = "model"  # where SingleTensor has the network


class TracingError(RuntimeError):
    """The network cannot be traced; the message is the tracer's reason, in one line."""


@dataclass(frozen=True, eq=False)
class Leaf:
    """A tensor of the network that the graph reads: a parameter or buffer at its path, or a constant."""

    path: str
    value: Tensor
    is_constant: bool = False


@dataclass(frozen=True, eq=False)
class DataGraph:
    """The graph of the data of a network.

    Attributes
    ----------
    model : module
        The caller's network.
    program : GraphModule
        The whole graph, background included, without operations in place.
    data : dict
        The nodes between source and sink, both included, each with its place in topological order.
    source, sink : Node
        The input, and the logits.
    leaves : dict
        Which tensor of the network a placeholder stands for.
    dtype : dtype or None
        Of floating-point numbers while it was traced.
    conversions : set of str
        The paths of the submodules, outer ones included, whose code names that type, as ``x.to(torch.float32)`` does:
        at another type they compute in this one, and pieces of the graph do not.
    """

    model: nn.Module
    program: fx.GraphModule
    data: dict[fx.Node, int]
    source: fx.Node
    sink: fx.Node
    leaves: dict[fx.Node, Leaf]
    dtype: torch.dtype | None
    conversions: frozenset[str]

    def operands(self, node: fx.Node) -> list[fx.Node]:
        """The data that an operation reads."""
        return [operand for operand in node.all_input_nodes if operand in self.data]

    @cached_property
    def parametric(self) -> frozenset[fx.Node]:
        """The background that is made of parameters, buffers or constants."""
        found = set(self.leaves)
        for node in self.program.graph.nodes:
            if node not in self.data and not found.isdisjoint(node.all_input_nodes):
                found.add(node)
        return frozenset(found)

    def calls(self, node: fx.Node) -> tuple[Call, ...]:
        """The submodule calls in which a node stands, outermost first; the network itself is the first."""
        stack = (node.meta.get("nn_module_stack") or {}).items()
        return tuple((key, path.removeprefix(_CHILD).removeprefix(".")) for key, (path, _) in stack if _below(path))

    def is_state(self, node: fx.Node) -> bool:
        """Whether the value can be the state between two pieces: one tensor of numbers, samples first."""
        value = node.meta.get("val")
        if not isinstance(value, Tensor) or value.ndim < 2 or not _same_size(value.shape[0], self.batch_size):
            return False
        return node is self.source or value.is_floating_point()

    @property
    def batch_size(self) -> Any:
        """The symbol of the number of samples."""
        return self.source.meta["val"].shape[0]


def trace(network: SingleTensor, x: Tensor) -> DataGraph:
    """The graph of the data of a network.

    Raises
    ------
    TracingError
        If torch cannot trace it.
    ValueError
        If layers act at random or on the whole batch, or the logits do not depend on the input.
    """
    dtypes = [tensor.dtype for tensor in (x, *network.parameters()) if tensor.is_floating_point()]
    dtype = dtypes[0] if dtypes else None
    program, conversions = _exported(network, x, dtype)
    module = program.graph_module
    graph = module.graph
    leaves = _leaves(program, network.model)
    by_name = {node.name: node for node in graph.nodes}
    source = by_name[program.graph_signature.user_inputs[0]]
    sink = next(node for node in graph.nodes if node.op == "output").args[0][0]
    if not isinstance(sink, fx.Node):
        raise ValueError("the network returns a constant; its logits must depend on the input.")
    _sizes_for_likes(graph, source)
    data = _between(graph, source, sink)
    for node in graph.nodes:
        if node.users and (reason := acts_at_random(node)):
            raise ValueError(f"the network has {reason}; call model.eval() before.")
    return DataGraph(network.model, module, data, source, sink, leaves, dtype, conversions)


def _exported(network: SingleTensor, x: Tensor, dtype: torch.dtype | None) -> tuple[Any, frozenset[str]]:
    from torch.export import Dim, export

    with warnings.catch_warnings(), differentiable_kernels():
        # what torch and the network's authors warn of while it is traced is of no use to the caller
        warnings.simplefilter("ignore")
        try:
            program = export(network, (x,), dynamic_shapes=({0: Dim.DYNAMIC},), strict=False)
            conversions = _conversions(program.graph_module.graph, dtype)
            without_idle_steps(program.graph_module.graph)
            rewrite_fused_sums(program.graph_module.graph)
            if not made_functional(program.graph_module.graph):
                program = _functionalised(export(network, (x,), dynamic_shapes=({0: Dim.DYNAMIC},), strict=False))
                without_idle_steps(program.graph_module.graph)
                rewrite_fused_sums(program.graph_module.graph)
        except Exception as error:
            raise TracingError(_reason(error)) from error
    return program, conversions


def _conversions(graph: fx.Graph, dtype: torch.dtype | None) -> frozenset[str]:
    """The submodules in which a tensor is converted to this type by its name."""
    found = set[str]()
    for node in graph.nodes:
        named = node.op == "call_function" and dtype in (*node.args, *node.kwargs.values())
        if named and any(isinstance(operand.meta.get("val"), Tensor) for operand in node.all_input_nodes):
            stack = (node.meta.get("nn_module_stack") or {}).values()
            found.update(path.removeprefix(_CHILD).removeprefix(".") for path, _ in stack if _below(path))
    return frozenset(found)


def _functionalised(program: Any) -> Any:
    graph = program.graph_module.graph
    for node in list(graph.nodes):
        if node.op == "call_module" and not node.users:
            # what torch checks about the sizes of inputs, in a form that its own next step does not run
            graph.erase_node(node)
    program.graph_module.recompile()
    return program.run_decompositions({})


def _reason(error: Exception) -> str:
    """What the tracer says, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if any("size()[0]" in line and "constant" in line for line in lines):
        return "its code takes the number of samples for a constant, as len(x) and int(x.shape[0]) do, x.shape[0] not"
    return f"{type(error).__name__}: {lines[0][:200] if lines else 'no reason given'}"


def _leaves(program: Any, model: nn.Module) -> dict[fx.Node, Leaf]:
    by_name = {node.name: node for node in program.graph_module.graph.nodes if node.op == "placeholder"}
    leaves = {}
    for spec in program.graph_signature.input_specs:
        if spec.target is None:
            continue
        path = spec.target.removeprefix(f"{_CHILD}.")
        owner, _, name = path.rpartition(".")
        registered = _registered(model, owner)
        for kind in ("_parameters", "_buffers"):
            if registered.get(kind, {}).get(name) is not None:
                leaves[by_name[spec.arg.name]] = Leaf(path, registered[kind][name])
                break
        else:
            value = program.constants.get(spec.target)
            if value is None:
                value = program.state_dict[spec.target]
            leaves[by_name[spec.arg.name]] = Leaf(path, value, is_constant=True)
    return leaves


def _registered(model: nn.Module, path: str) -> dict[str, Any]:
    try:
        return vars(model.get_submodule(path))
    except AttributeError:
        return {}


def _sizes_for_likes(graph: fx.Graph, source: fx.Node) -> None:
    """Make ``zeros_like(y)`` and the like background: they depend on the shape of y, not on its values."""
    values = {"zeros": 0, "ones": 1}
    for node in list(graph.nodes):
        kind, _, suffix = name_of(node).partition("_")
        if kind == "new":
            kind, suffix = suffix, "new"
        if suffix not in ("like", "new") or kind not in (*values, "full"):
            continue
        value = node.meta["val"]
        fill = values[kind] if kind in values else node.args[1 if suffix == "like" else 2]
        with graph.inserting_before(node):
            size = [_size_node(graph, source, length) for length in value.shape]
            kwargs = {"dtype": value.dtype, "device": value.device}
            plain = graph.call_function(torch.ops.aten.full.default, (size, fill), kwargs)
        plain.meta = dict(node.meta)
        node.replace_all_uses_with(plain)
        graph.erase_node(node)


def _size_node(graph: fx.Graph, source: fx.Node, length: Any) -> Any:
    if isinstance(length, int):
        return length
    node = graph.call_function(torch.ops.aten.sym_size.int, (source, 0))
    node.meta["val"] = length
    return node


def _between(graph: fx.Graph, source: fx.Node, sink: fx.Node) -> dict[fx.Node, int]:
    """The nodes on paths from source to sink along values (sizes are no values), in topological order."""
    after = {source}
    for node in graph.nodes:
        if _is_value(node) and any(operand in after for operand in node.all_input_nodes):
            after.add(node)
    if sink not in after:
        raise ValueError("the logits do not depend on the values of the input; there is no path to follow.")
    before = {sink}
    for node in reversed(graph.nodes):
        if node in before:
            before.update(operand for operand in node.all_input_nodes if operand in after)
    kept = [node for node in graph.nodes if node in after and node in before]
    return {node: k for k, node in enumerate(kept)}


def _is_value(node: fx.Node) -> bool:
    sizes = torch.SymInt | torch.SymFloat | torch.SymBool | int
    return node.op == "call_function" and not isinstance(node.meta.get("val"), sizes)


def _below(path: str) -> bool:
    return path == _CHILD or path.startswith(f"{_CHILD}.")


def _same_size(a: Any, b: Any) -> bool:
    expressions = [size.node.expr if isinstance(size, torch.SymInt) else size for size in (a, b)]
    return bool(expressions[0] == expressions[1])
