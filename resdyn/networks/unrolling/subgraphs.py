"""A part of a traced network as a module of its own, which shares the network's parameters and buffers."""

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from resdyn.networks.unrolling.clones import Detachable
from resdyn.networks.unrolling.graphs import DataGraph, Leaf
from resdyn.networks.unrolling.placement import require_place
from resdyn.networks.unrolling.skips import Term

_CONSTANTS = "constants"


class Subgraph(nn.Module, Detachable):
    """The map from one value of a traced network to another, or to a weighted sum of others.

    Parameters and buffers are the network's own, under their paths in it, and are looked up there at each call: what is
    trained, moved, loaded or replaced there is so here. Sizes, masks and constants follow the number of samples, the
    device and the floating-point type of what comes in.

    Raises
    ------
    ValueError
        If a module of the network that holds one of them was replaced.
    """

    def __init__(self, program: fx.GraphModule, leaves: Sequence[Leaf], model: nn.Module) -> None:
        super().__init__()
        # in a tuple it is no child: all it would add to the parameters are other names for them
        self._program = (program,)
        self._paths = tuple(f"{_CONSTANTS}.{_plain(leaf.path)}" if leaf.is_constant else leaf.path for leaf in leaves)
        self._followed: tuple[_Followed, ...] = tuple(
            _attach(self, leaf, model) for leaf in leaves if not leaf.is_constant
        )
        for leaf in leaves:
            if leaf.is_constant:
                _child(self, _CONSTANTS).register_buffer(_plain(leaf.path), leaf.value, persistent=False)
        # the network, and not as a child
        self._network: tuple[nn.Module, ...] = (model,)
        self.training = False

    @property
    def signature(self) -> tuple[Any, ...]:
        """What tells whether another piece of the same network computes the same with the same weights."""
        place = {node: k for k, node in enumerate(self._program[0].graph.nodes)}
        code = tuple(
            (
                node.op,
                str(node.target) if node.op != "placeholder" else "",
                repr(_numbered((node.args, node.kwargs), place)),
            )
            for node in place
        )
        return code, self._paths

    def detach_from_network(self) -> None:
        """Stay with the weights one has."""
        self._network = self._followed = ()

    def follow(self) -> None:
        """Take over the weights that were replaced in the network."""
        for followed in self._followed:
            _follow(followed, self._network[0])

    def forward(self, x: Tensor) -> Tensor:
        """The value at the end."""
        self.follow()
        values = [_at(self, path) for path in self._paths]
        return self._program[0](x, *values)  # type: ignore[no-any-return]


def subgraph(graph: DataGraph, start: fx.Node, terms: Sequence[Term]) -> nn.Module:
    """The map from the value at ``start`` to the sum of terms, factor times value."""
    if list(terms) == [(1.0, start)]:
        return nn.Identity().eval()
    copy = _Copy(graph, start)
    total: Any = None
    for factor, node in terms:
        value = copy(node)
        if factor != 1:
            value = copy.graph.call_function(torch.ops.aten.mul.Tensor, (value, factor))
        total = value if total is None else copy.graph.call_function(torch.ops.aten.add.Tensor, (total, value))
    copy.graph.output(total)
    return Subgraph(fx.GraphModule(graph.program, copy.graph), copy.leaves, graph.model)


def has_attention(function: nn.Module) -> bool:
    """Whether the caller's own code would run attention in a kernel that has no forward derivative."""
    return isinstance(function, Subgraph) and any(node.target is attention for node in function._program[0].graph.nodes)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Scaled dot-product attention by plain operations, which have derivatives of both modes."""
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


# a graph is traced anew when it is unpickled, and then this stays one step of it
@fx.wrap
def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None,
    dropout_p: float,
    is_causal: bool,
    scale: float | None,
    enable_gqa: bool,
) -> Tensor:
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        # the plain operations add the mask, where the public function takes False for "not"
        attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill(~attn_mask, -torch.inf)
    return torch.ops.aten._scaled_dot_product_attention_math(  # type: ignore[no-any-return]
        query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
    )[0]


def samples(x: Tensor) -> int:
    """How many there are in a batch; unlike ``len`` it can be traced anew."""
    return x.shape[0]


class _Copy:
    """Copies nodes of a graph into a new one, in which a given node is the input."""

    def __init__(self, graph: DataGraph, start: fx.Node) -> None:
        self.origin, self.graph = graph, fx.Graph()
        self.leaves: list[Leaf] = []
        self.input = self.graph.placeholder("x")
        self.new: dict[fx.Node, fx.Node] = {start: self.input}
        # of tokens the type says nothing about the floating-point type that is meant
        self._floating = graph.dtype if start.meta["val"].is_floating_point() else None
        self._shared: dict[str, fx.Node] = {}

    def __call__(self, node: fx.Node) -> fx.Node:
        for step in self._needed(node):
            self.new[step] = self._copied(step)
        return self.new[node]

    def _needed(self, node: fx.Node) -> list[fx.Node]:
        """What has to be copied first, in order; depth first without recursion, as networks are deep."""
        order: list[fx.Node] = []
        done, waiting = set(self.new), [(node, False)]
        while waiting:
            current, ready = waiting.pop()
            if ready:
                order.append(current)
            elif current not in done:
                done.add(current)
                waiting.append((current, True))
                if not _multiple(current, self.origin.batch_size):
                    waiting += [(operand, False) for operand in reversed(current.all_input_nodes)]
        return order

    def _copied(self, node: fx.Node) -> fx.Node:
        if node in self.origin.leaves:
            return self._leaf(node)
        if node.op == "placeholder":
            raise RuntimeError(f"{node} does not depend on the start of the piece alone.")
        if multiple := _multiple(node, self.origin.batch_size):
            return self._size(multiple)
        copy = self.graph.node_copy(node, self.new.__getitem__)
        copy.meta = {}
        self._adapt(copy)
        if _makes_numbers(node, self._floating) and "dtype" not in copy.kwargs:
            with self.graph.inserting_before(copy):
                copy.kwargs = {**copy.kwargs, "dtype": self._of_input("dtype")}
        return copy

    def _leaf(self, node: fx.Node) -> fx.Node:
        leaf = self.origin.leaves[node]
        self.leaves.append(leaf)
        with self.graph.inserting_after(self._last_placeholder()):
            placeholder = self.graph.placeholder(node.name)
        if isinstance(leaf.value, nn.Parameter):
            return placeholder
        # buffers are not always replaced or moved with the parameters
        kwargs: dict[str, Any] = {"device": self._of_input("device")}
        if leaf.value.dtype == self._floating:
            kwargs["dtype"] = self._of_input("dtype")
        return self.graph.call_method("to", (placeholder,), kwargs)

    def _last_placeholder(self) -> fx.Node:
        return [node for node in self.graph.nodes if node.op == "placeholder"][-1]

    def _size(self, multiple: int) -> fx.Node:
        if "size" not in self._shared:
            self._shared["size"] = self.graph.call_function(samples, (self.input,))
        size = self._shared["size"]
        return size if multiple == 1 else self.graph.call_function(operator.mul, (size, multiple))

    def _of_input(self, what: str) -> fx.Node:
        if what not in self._shared:
            self._shared[what] = self.graph.call_function(getattr, (self.input, what))
        return self._shared[what]

    def _adapt(self, node: fx.Node) -> None:
        """Free an operation from the layout, device and type it was traced with."""
        replaced = {
            torch.ops.aten.view.default: torch.ops.aten.reshape.default,
            torch.ops.aten._unsafe_view.default: torch.ops.aten.reshape.default,
            torch.ops.aten.scaled_dot_product_attention.default: attention,
        }
        node.target = replaced.get(node.target, node.target)  # type: ignore[call-overload]
        with self.graph.inserting_before(node):
            node.args = tuple(self._free(value) for value in node.args)
            node.kwargs = {key: self._free(value) for key, value in node.kwargs.items()}

    def _free(self, value: Any) -> Any:
        if isinstance(value, torch.device):
            return self._of_input("device")
        if isinstance(value, torch.dtype) and value == self._floating:
            return self._of_input("dtype")
        return value


def _multiple(node: fx.Node, batch_size: Any) -> int:
    """The factor of a size that is a multiple of the number of samples; 0 for all other nodes."""
    value = node.meta.get("val")
    if node.op != "call_function" or not isinstance(value, torch.SymInt):
        return 0
    ratio = value.node.expr / batch_size.node.expr
    return int(ratio) if ratio.is_Integer else 0


def _makes_numbers(node: fx.Node, floating: torch.dtype | None) -> bool:
    """Whether a value is made of nothing, in the floating-point type that is usual where no other is asked for."""
    value, schema = node.meta.get("val"), getattr(node.target, "_schema", None)
    if not isinstance(value, Tensor) or value.dtype != floating or schema is None:
        return False
    of_nothing = not any(isinstance(operand.meta.get("val"), Tensor) for operand in node.all_input_nodes)
    return of_nothing and any(argument.name == "dtype" for argument in schema.arguments)


def _plain(path: str) -> str:
    return path.replace(".", "_")


def _at(root: nn.Module, path: str) -> Any:
    for name in path.split("."):
        root = getattr(root, name)
    return root


class _Followed:
    """A tensor of the network: its owner there, and the module that holds it here, which may be the owner itself."""

    def __init__(self, path: str, name: str, owner: nn.Module, holder: nn.Module) -> None:
        self.path, self.name, self.owner, self.holder = path, name, owner, holder
        self.seen = getattr(owner, name)


def _follow(followed: _Followed, model: nn.Module) -> None:
    """Take over a tensor that was replaced in the network."""
    owner, holder, name = followed.owner, followed.holder, followed.name
    require_place(model, followed.path, owner)
    if holder is owner or (current := getattr(owner, name)) is followed.seen:
        return
    followed.seen = current
    kind = holder._parameters if name in holder._parameters else holder._buffers
    kind[name] = current


def _numbered(value: Any, place: dict[fx.Node, int]) -> Any:
    return fx.node.map_arg(value, lambda node: f"%{place[node]}")


def _attach(root: nn.Module, leaf: Leaf, model: nn.Module) -> _Followed:
    """Make a tensor of the network reachable under its path."""
    path, _, name = leaf.path.rpartition(".")
    owner, parent = model.get_submodule(path), root
    above, _, last = path.rpartition(".")
    is_layer = bool(path) and not any(True for _ in owner.children())
    for part in filter(None, (above if is_layer else path).split(".")):
        parent = _child(parent, part)
    if is_layer:
        parent.add_module(last, owner)
    elif isinstance(leaf.value, nn.Parameter):
        parent.register_parameter(name, leaf.value)
    else:
        parent.register_buffer(name, leaf.value, persistent=name not in owner._non_persistent_buffers_set)
    return _Followed(path, name, owner, owner if is_layer else parent)


def _child(parent: nn.Module, name: str) -> nn.Module:
    if name not in parent._modules:
        parent.add_module(name, nn.Module().eval())
    return parent.get_submodule(name)
