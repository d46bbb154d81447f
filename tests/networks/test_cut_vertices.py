import pytest

torch = pytest.importorskip("torch")
import networkx  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import fx, nn  # noqa: E402

from resdyn.networks.unrolling.calls import single_tensor  # noqa: E402
from resdyn.networks.unrolling.cuts import cut_vertices, regions  # noqa: E402
from resdyn.networks.unrolling.functional import made_functional, without_idle_steps  # noqa: E402
from resdyn.networks.unrolling.graphs import DataGraph, TracingError, trace  # noqa: E402


@st.composite
def edges(draw):
    """The operands of each node but the first, in topological order."""
    n = draw(st.integers(2, 12))
    return [draw(st.lists(st.integers(max(0, k - 4), k - 1), min_size=1, max_size=3, unique=True)) for k in range(1, n)]


def graph_of(operands):
    """A graph in which all nodes lie between the first and the last."""
    graph = fx.Graph()
    nodes = [graph.placeholder("x")]
    for its_operands in operands:
        nodes.append(graph.call_function(sum, ([nodes[k] for k in its_operands],)))
    needed = {nodes[-1]}
    for node in reversed(nodes):
        if node in needed:
            needed.update(node.all_input_nodes)
    data = {node: k for k, node in enumerate(node for node in nodes if node in needed)}
    program = fx.GraphModule(nn.Module(), graph)
    return DataGraph(nn.Module(), program, data, nodes[0], nodes[-1], {}, torch.float32, frozenset())


@settings(max_examples=200, deadline=None)
@given(edges())
def test_cut_vertices_are_the_dominators_of_the_logits(operands):
    graph = graph_of(operands)
    oracle = networkx.DiGraph((before, node) for node in graph.data for before in node.all_input_nodes)
    dominators = networkx.immediate_dominators(oracle, graph.source)
    expected = [graph.sink]
    while expected[-1] is not graph.source:
        expected.append(dominators[expected[-1]])
    assert cut_vertices(graph) == expected[::-1]


@settings(max_examples=100, deadline=None)
@given(edges())
def test_regions_are_a_partition_and_only_read_their_start(operands):
    graph = graph_of(operands)
    chain = regions(graph, cut_vertices(graph))
    assert [node for region in chain for node in region.nodes] == list(graph.data)[1:]
    for region in chain:
        read = {operand for node in region.nodes for operand in node.all_input_nodes}
        assert read <= {region.start, *region.nodes}


# --- operations in place -----------------------------------------------------------------------------


class Steps(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.linear, self._forward = nn.Linear(4, 4), forward

    def forward(self, x):
        return self._forward(self.linear, x)


def adds_twice(linear, x):
    y = linear(x)
    z = y.relu()
    y += x
    y.tanh_()
    return y * z


def adds_to_a_view(linear, x):
    y = linear(x)
    y[:, :2] += x[:, :2]
    return y * x


def adds_under_a_view(linear, x):
    y = linear(x)
    view = y.reshape(-1, 2, 2)
    y += x
    return view.sum((1, 2))[:, None] * y


def adds_to_a_constant(linear, x):
    total = torch.zeros(x.shape[0], 4)
    total += linear(x)
    return total


@pytest.mark.parametrize(
    ("forward", "by_names"),
    [(adds_twice, True), (adds_to_a_view, False), (adds_under_a_view, False), (adds_to_a_constant, False)],
)
def test_operations_in_place_are_rewritten(forward, by_names):
    network, x = single_tensor(Steps(forward).eval(), torch.randn(2, 4))
    program = torch.export.export(network, (x,), strict=False)
    assert made_functional(program.graph_module.graph) == by_names
    graph = trace(network, x)
    assert not any(getattr(getattr(n.target, "_schema", None), "is_mutable", False) for n in graph.program.graph.nodes)
    placeholders = graph.program.graph.find_nodes(op="placeholder")
    arguments = [graph.leaves[n].value if n in graph.leaves else x for n in placeholders]
    graph.program.recompile()
    # the same operations on the same numbers
    assert torch.equal(graph.program(*arguments)[0], network(x))


def test_a_value_that_is_read_after_it_was_overwritten_is_left_to_torch():
    graph = fx.Graph()
    x = graph.placeholder("x")
    y = graph.call_function(torch.ops.aten.relu.default, (x,))
    z = graph.call_function(torch.ops.aten.tanh_.default, (y,))
    graph.output(graph.call_function(torch.ops.aten.add.Tensor, (y, z)))
    assert not made_functional(graph)


def test_idle_dropout_and_conversions_are_taken_out():
    def forward(linear, x):
        return nn.functional.dropout(linear(x.to(torch.float32)), 0.5, training=False)

    network, x = single_tensor(Steps(forward).eval(), torch.randn(2, 4))
    graph = torch.export.export(network, (x,), strict=False).graph_module.graph
    without_idle_steps(graph)
    kinds = [str(node.target) for node in graph.nodes if node.op == "call_function" and node.users]
    assert kinds == ["aten.linear.default"]


def test_a_tracer_says_in_one_line_why_not():
    def forward(linear, x):
        return linear(x) if bool((x > 0).any()) else x

    with pytest.raises(TracingError) as caught:
        trace(*single_tensor(Steps(forward).eval(), torch.randn(2, 4)))
    assert len(str(caught.value).splitlines()) == 1
    assert "data-dependent" in str(caught.value)


def test_a_number_of_samples_that_is_fixed_in_the_code_is_said_so():
    def forward(linear, x):
        return linear(x) + torch.ones(len(x), 4)

    with pytest.raises(TracingError, match=r"takes the number of samples for a constant, as len\(x\)"):
        trace(*single_tensor(Steps(forward).eval(), torch.randn(2, 4)))
