import copy

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.func import functional_call, jvp, vjp, vmap  # noqa: E402

from resdyn.networks.architectures.cifar_resnets import resnet, resnext  # noqa: E402
from resdyn.networks.unrolling.finding import find_pieces  # noqa: E402
from resdyn.networks.unrolling.subgraphs import attention  # noqa: E402

torch.set_num_threads(1)
# torch.func.jvp scripts a function of torch's own when it is first used
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
WIDTHS = (4, 8, 16)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def images(n=2, size=8, channels=3):
    return torch.randn(n, channels, size, size)


def composed(pieces, x):
    for piece in (pieces.stem, *pieces.units, pieces.head):
        x = piece.function(x)
    return x


def states(pieces, x):
    """The states before each unit."""
    x = pieces.stem.function(x)
    for unit in pieces.units:
        yield x
        x = unit.function(x)


def assert_equal(a, b, roundings=100):
    # another order of summation: some roundings, relative to the largest entry
    bound = roundings * torch.finfo(a.dtype).eps * float(b.detach().abs().max())
    torch.testing.assert_close(a, b, rtol=0, atol=bound)


def assert_composes(pieces, model, x, logits=lambda result: result):
    for n in (1, 2, 5):
        batch = torch.randn(n, *x.shape[1:])
        assert_equal(composed(pieces, batch), logits(model(batch)))


def shaken(model):
    """Batch norms with statistics and factors of their own, so that none is the identity."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    return model.eval()


# --- networks of ours --------------------------------------------------------------------------------

OURS = {
    "post": lambda: resnet(14, widths=WIDTHS),
    "post projection": lambda: resnet(14, widths=WIDTHS, shortcut="projection"),
    "pre": lambda: resnet(14, widths=WIDTHS, order="pre"),
    "in": lambda: resnet(14, widths=WIDTHS, interpolation="in"),
    "lambda-in": lambda: resnet(14, widths=WIDTHS, order="pre", interpolation="lambda-in"),
    "resnext": lambda: resnext(11, cardinality=2, width=2),
    "bottleneck": lambda: resnet(11, widths=WIDTHS, bottleneck=True, order="pre"),
}


@pytest.mark.parametrize("kind", OURS)
def test_the_units_found_are_those_declared(kind):
    model = shaken(OURS[kind]())
    pieces = find_pieces(model, images())
    assert len(pieces.units) == len(model.units)
    assert all(piece.module is unit for piece, unit in zip(pieces.units, model.units, strict=True))
    assert all(piece.function is unit for piece, unit in zip(pieces.units, model.units, strict=True))
    names = {module: name for name, module in model.named_modules()}
    assert [piece.name for piece in pieces.units] == [names[unit] for unit in model.units]
    assert_composes(pieces, model, images())
    for piece, unit, x in zip(pieces.units, model.units, states(pieces, images()), strict=True):
        assert_equal(unit.after(piece.shortcut(x) + piece.branch(x)), unit(x))
        damped = unit.interpolation is not None
        assert piece.shortcut_is_identity == (not damped and isinstance(unit.shortcut, nn.Identity))
        gain = unit.gains()[0] if damped else 1.0
        assert_equal(piece.shortcut(x), gain * unit.shortcut(x))


# --- other people's networks -------------------------------------------------------------------------


def hugging_face_resnet(layer_type):
    transformers = pytest.importorskip("transformers")
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[2, 2], layer_type=layer_type, num_labels=10
    )
    return shaken(transformers.ResNetForImageClassification(config))


def hugging_face_vit():
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=8,
        patch_size=4,
        num_labels=10,
        # with weights of the usual 0.02 attention is uniform and the test blind
        initializer_range=0.5,
    )
    return transformers.ViTForImageClassification(config).eval()


@pytest.mark.parametrize("layer_type", ["basic", "bottleneck"])
def test_a_hugging_face_resnet(layer_type):
    model = hugging_face_resnet(layer_type)
    x = images(size=16)
    pieces = find_pieces(model, x)
    layers = [layer for stage in model.resnet.encoder.stages for layer in stage.layers]
    assert [piece.module for piece in pieces.units] == layers
    assert pieces.units[2].name == "resnet.encoder.stages.1.layers.0"
    assert [piece.shortcut_is_identity for piece in pieces.units] == [True, True, False, True]
    assert_composes(pieces, model, x, lambda result: result.logits)
    x = list(states(pieces, x))[2]
    assert_equal(pieces.units[2].shortcut(x), layers[2].shortcut(x))


def test_a_vision_transformer_has_two_units_in_each_layer():
    model = hugging_face_vit()
    pieces = find_pieces(model, {"pixel_values": images()})
    assert [piece.name for piece in pieces.units] == [
        "vit.layers.0[attention]",
        "vit.layers.0[mlp]",
        "vit.layers.1[attention]",
        "vit.layers.1[mlp]",
    ]
    assert all(piece.module is None and piece.shortcut_is_identity for piece in pieces.units)
    assert_composes(pieces, model, images(), lambda result: result.logits)
    for piece, x in zip(pieces.units, states(pieces, images()), strict=True):
        assert_equal(x + piece.branch(x), piece.function(x))


def encoder(norm_first, batch_first=True, layers=2):
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=batch_first, norm_first=norm_first)
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False).eval()


@pytest.mark.parametrize("norm_first", [True, False])
def test_a_transformer_encoder(norm_first):
    model = encoder(norm_first)
    x = torch.randn(2, 5, 16)
    pieces = find_pieces(model, x)
    assert [piece.name for piece in pieces.units] == [
        "layers.0[self_attn]",
        "layers.0[linear1+linear2]",
        "layers.1[self_attn]",
        "layers.1[linear1+linear2]",
    ]
    assert_composes(pieces, model, x)
    after = [nn.Identity()] * 4 if norm_first else [n for layer in model.layers for n in (layer.norm1, layer.norm2)]
    for piece, norm, state in zip(pieces.units, after, states(pieces, x), strict=True):
        assert piece.shortcut_is_identity
        assert_equal(norm(state + piece.branch(state)), piece.function(state))
    assert isinstance(pieces.stem.function, nn.Identity)
    assert isinstance(pieces.head.function, nn.Identity)


class InPlaceBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(c, c, 3, padding=1), nn.Conv2d(c, c, 3, padding=1)
        self.norm, self.relu, self.drop = nn.BatchNorm2d(c), nn.ReLU(inplace=True), nn.Dropout(0.5)

    def forward(self, x):
        out = self.drop(self.conv2(self.relu(self.norm(self.conv1(x)))))
        out += x
        return self.relu(out)


def sequence(*blocks, features=256):
    return shaken(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), *blocks, nn.Flatten(), nn.Linear(features, 10)))


def test_additions_and_activations_in_place():
    model = sequence(InPlaceBlock(4), InPlaceBlock(4))
    pieces = find_pieces(model, images())
    assert [piece.name for piece in pieces.units] == ["1", "2"]
    assert [piece.function for piece in pieces.units] == [model[1], model[2]]
    assert_composes(pieces, model, images())
    x = next(states(pieces, images()))
    assert_equal(torch.relu(x + pieces.units[0].branch(x)), model[1](x))


class OverwritesItsInput(nn.Module):
    """The activation before the fork is in place: the skip path carries relu(x), not x."""

    def __init__(self):
        super().__init__()
        self.relu, self.conv = nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        y = self.relu(x)
        return x + self.conv(y)


def test_a_unit_does_not_overwrite_its_state():
    model = sequence(OverwritesItsInput(), OverwritesItsInput())
    pieces = find_pieces(model, images())
    assert [piece.module for piece in pieces.units] == [model[1], model[2]]
    assert_composes(pieces, model, images())
    for piece, x in zip(pieces.units, states(pieces, images()), strict=True):
        kept = x.clone()
        y = piece.function(x)
        assert torch.equal(x, kept)
        assert_equal(piece.shortcut(x), torch.relu(x))
        assert_equal(y, torch.relu(x) + piece.branch(x))


class OverwritesAView(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        y = self.conv(x)
        corner = y[:, :, :2]
        y += x
        corner.mul_(2.0)
        return y * 1.5


def test_what_is_written_through_views_is_read_by_all():
    model = sequence(OverwritesAView(), OverwritesAView())
    pieces = find_pieces(model, images())
    assert_composes(pieces, model, images())


def test_a_module_in_two_places_is_two_units():
    shared = InPlaceBlock(4)
    pieces = find_pieces(sequence(shared, shared), images())
    assert [piece.module for piece in pieces.units] == [shared, shared]
    assert [piece.name for piece in pieces.units] == ["1", "2"]


class Repeated(nn.Module):
    def __init__(self, times):
        super().__init__()
        self.block, self.times, self.out = InPlaceBlock(3), times, nn.Linear(192, 10)

    def forward(self, x):
        for _ in range(self.times):
            x = self.block(x)
        return self.out(x.flatten(1))


def test_a_module_that_is_called_again_and_again_is_as_many_units():
    model = shaken(Repeated(3))
    pieces = find_pieces(model, images())
    assert [piece.name for piece in pieces.units] == ["block@1", "block@2", "block@3"]
    assert all(piece.module is model.block for piece in pieces.units)
    assert_composes(pieces, model, images())


class InOneForward(nn.Module):
    """Post-activation, pooling, pre-activation with a projection, a scaled addition, a difference."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.first, self.second = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.project = nn.Conv2d(4, 6, 1)
        self.third, self.fourth = nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.fifth, self.sixth = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.out = nn.Linear(6, 10)

    def forward(self, x):
        x = self.stem(x)
        x = torch.relu(x + self.second(torch.relu(self.first(x))))
        x = nn.functional.max_pool2d(x, 2)
        x = torch.relu(self.norm(x))
        x = self.project(x) + self.fourth(torch.relu(self.third(x)))
        x = torch.add(x, self.fifth(torch.tanh(x)), alpha=0.5)
        x = 0.7 * (x - self.sixth(x))
        return self.out(x.mean((2, 3)))


def test_additions_in_one_forward():
    model = shaken(InOneForward())
    pieces = find_pieces(model, images())
    assert [piece.name for piece in pieces.units] == [
        "InOneForward[first+second]",
        "InOneForward[third+fourth]",
        "InOneForward[fifth]",
        "InOneForward[sixth]",
    ]
    assert all(piece.module is None for piece in pieces.units)
    assert_composes(pieces, model, images())
    one, two, three, four = states(pieces, images())
    # the activation after the addition belongs to the first unit, pooling and pre-activation to the second
    first = torch.relu(one + model.second(torch.relu(model.first(one))))
    assert_equal(pieces.units[0].function(one), first)
    inner = torch.relu(model.norm(nn.functional.max_pool2d(two, 2)))
    assert_equal(pieces.units[1].shortcut(two), model.project(inner))
    assert_equal(pieces.units[1].branch(two), model.fourth(torch.relu(model.third(inner))))
    assert [piece.shortcut_is_identity for piece in pieces.units] == [True, False, True, True]
    assert_equal(pieces.units[2].branch(three), 0.5 * model.fifth(torch.tanh(three)))
    assert_equal(pieces.units[3].branch(four), -model.sixth(four))
    assert_equal(pieces.units[3].function(four), 0.7 * (four - model.sixth(four)))


class OneUnitInOneForward(nn.Module):
    def __init__(self, project):
        super().__init__()
        self.stem, self.branch = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.project = nn.BatchNorm2d(4), nn.Conv2d(4, 6, 1) if project else None
        self.wide = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1))

    def forward(self, x):
        x = self.stem(x)
        x = x + torch.relu(self.branch(x))
        if self.project is not None:
            x = self.norm(x)
            x = self.project(x) + self.wide(x)
        return x.mean((2, 3))


@pytest.mark.parametrize("project", [False, True])
def test_what_follows_a_unit_in_one_forward_is_not_its_own(project):
    model = shaken(OneUnitInOneForward(project))
    pieces = find_pieces(model, images())
    assert len(pieces.units) == 1 + project
    assert_composes(pieces, model, images())
    x = next(states(pieces, images()))
    # neither the norm before a projection nor the pooling of the head belongs to the first unit
    assert_equal(pieces.units[0].function(x), x + torch.relu(model.branch(x)))
    assert pieces.stem.module is model.stem


class Parallel(nn.Module):
    """Attention and MLP beside each other: x + attention(norm x) + mlp(norm x)."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))

    def forward(self, x):
        y = self.norm(x)
        return x + self.attention(y, y, y, need_weights=False)[0] + self.mlp(y)


def test_several_additions_from_one_fork_are_one_unit():
    model = nn.Sequential(Parallel(), Parallel(), nn.Flatten(), nn.Linear(80, 3)).eval()
    x = torch.randn(2, 5, 16)
    pieces = find_pieces(model, x)
    assert [piece.module for piece in pieces.units] == [model[0], model[1]]
    state = next(states(pieces, x))
    assert_equal(state + pieces.units[0].branch(state), model[0](state))
    assert_composes(pieces, model, x)


class SqueezeExcite(nn.Module):
    def __init__(self, c, residual):
        super().__init__()
        self.conv, self.gate, self.residual = nn.Conv2d(c, c, 3, padding=1), nn.Linear(c, c), residual

    def forward(self, x):
        y = self.conv(x)
        y = y * torch.sigmoid(self.gate(y.mean((2, 3))))[:, :, None, None]
        return x + y if self.residual else y


def test_gates_are_part_of_a_branch():
    model = sequence(SqueezeExcite(4, residual=True), SqueezeExcite(4, residual=False), SqueezeExcite(4, residual=True))
    pieces = find_pieces(model, images())
    # the block without a skip path is a transition, the front of the unit after it
    assert [(piece.name, piece.module) for piece in pieces.units] == [("1", model[1]), ("3", None)]
    assert not pieces.units[1].shortcut_is_identity
    assert_composes(pieces, model, images())
    x = list(states(pieces, images()))[1]
    assert_equal(pieces.units[1].shortcut(x), model[2](x))
    assert_equal(pieces.units[1].branch(x), model[3](model[2](x)) - model[2](x))


def test_transitions_between_stages_are_the_front_of_the_next_unit():
    down = nn.Sequential(nn.GroupNorm(1, 4), nn.Conv2d(4, 6, 2, 2))
    model = sequence(InPlaceBlock(4), down, InPlaceBlock(6), nn.AvgPool2d(2), InPlaceBlock(6), features=24)
    pieces = find_pieces(model, images())
    assert [(piece.name, piece.module) for piece in pieces.units] == [("1", model[1]), ("3", None), ("5", None)]
    shapes = [tuple(x.shape[1:]) for x in states(pieces, images())]
    assert shapes == [(4, 8, 8), (4, 8, 8), (6, 4, 4)]
    x = list(states(pieces, images()))[1]
    assert_equal(pieces.units[1].shortcut(x), down(x))
    assert_equal(pieces.units[1].function(x), model[3](down(x)))
    assert_composes(pieces, model, images())


class LoopsOverParts(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.parts = nn.ModuleList([nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Tanh()) for _ in range(3)])
        self.inner = InPlaceBlock(4)

    def forward(self, x):
        x = self.stem(x)
        with torch.no_grad():
            size = torch.full((x.shape[0], 1, 1, 1), 0.5)
        for part in self.parts:
            x = x + size * part(x)
        return self.inner(x).mean((2, 3))


def test_names_of_units_that_are_no_modules():
    model = shaken(LoopsOverParts())
    pieces = find_pieces(model, images())
    names = [f"LoopsOverParts[parts.{k}]" for k in range(3)]
    assert [piece.name for piece in pieces.units] == [*names, "inner"]
    assert_composes(pieces, model, images())
    x = next(states(pieces, images()))
    assert_equal(pieces.units[0].branch(x), 0.5 * model.parts[0](x))


class Tokens(nn.Module):
    """A causal language model in small: integers in, a mask of sizes, a table of constants."""

    def __init__(self):
        super().__init__()
        self.embedding, self.positions = nn.Embedding(7, 16), nn.Parameter(torch.randn(5, 16))
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=True)
        self.register_buffer("scales", torch.linspace(0.5, 1.5, 16))
        self.out = nn.Linear(16, 7)

    def forward(self, tokens):
        x = self.embedding(tokens) + self.positions
        mask = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
        ones = torch.ones_like(x)
        x = self.layer(x * self.scales, src_mask=mask)
        return {"logits": self.out(x * ones + torch.tensor(0.25)), "hidden": x}


def test_tokens_masks_and_constants():
    model = Tokens().eval()
    pieces = find_pieces(model, torch.randint(0, 7, (2, 5)))
    assert [piece.name for piece in pieces.units] == ["layer[self_attn]", "layer[linear1+linear2]"]
    for n in (1, 2, 5):
        tokens = torch.randint(0, 7, (n, 5))
        assert_equal(composed(pieces, tokens), model(tokens)["logits"])
    # a later token does not act on an earlier place
    x = torch.randn(1, 5, 16)
    changed = x.clone()
    changed[:, 4] += 1
    difference = (pieces.units[0].function(changed) - pieces.units[0].function(x)).detach()
    assert float(difference[:, :4].abs().max()) == 0 < float(difference[:, 4].abs().max())


# --- derivatives, types, moves -----------------------------------------------------------------------

DIFFERENTIABLE = {
    "vit": (hugging_face_vit, lambda: images()),
    "encoder": (lambda: encoder(True), lambda: torch.randn(2, 5, 16)),
    "in-resnet": (lambda: shaken(resnet(14, widths=WIDTHS, interpolation="in")), lambda: images()),
    "in place": (lambda: sequence(InPlaceBlock(4)), lambda: images()),
}


def in_double(module):
    """A function with all parameters (and no buffers) replaced by ones of double precision."""
    parameters = {name: p.detach().double() for name, p in module.named_parameters()}
    buffers = {name: b.double() if b.is_floating_point() else b for name, b in module.named_buffers()}
    return lambda x: functional_call(module, {**buffers, **parameters}, (x,))


@pytest.mark.parametrize("kind", DIFFERENTIABLE)
def test_derivatives_of_both_modes_in_double_precision(kind):
    make, data = DIFFERENTIABLE[kind]
    pieces = find_pieces(make(), data())
    x = data().double()
    for piece in (pieces.stem, *pieces.units, pieces.head):
        function = in_double(piece.function)
        tangent = torch.randn_like(x)
        y, forward = jvp(function, (x,), (tangent,))
        assert y.dtype == torch.float64
        # central differences: rounding leaves 1e-16 / h = 1e-10; a smaller h lets fewer ReLUs switch on the way
        h = 1e-6
        difference = (function(x + h * tangent) - function(x - h * tangent)) / (2 * h)
        torch.testing.assert_close(forward, difference, rtol=1e-5, atol=1e-6 * float(forward.abs().max()))
        cotangent = torch.randn_like(y)
        (backward,) = vjp(function, x)[1](cotangent)
        assert_equal((cotangent * forward).sum(), (tangent * backward).sum(), roundings=1e4)
        each = vmap(lambda one, f=function: f(one[None])[0])(x)
        assert_equal(each, y)
        x = y.detach()


def test_float32_networks_are_the_double_ones_rounded():
    model = hugging_face_vit()
    pieces = find_pieces(model, images())
    x = images()
    in_doubles = x.double()
    for piece in (pieces.stem, *pieces.units, pieces.head):
        in_doubles = in_double(piece.function)(in_doubles)
    oracle = copy.deepcopy(model).double()(x.double()).logits
    assert_equal(in_doubles, oracle)
    # that this is more than float32 tells that nothing was rounded on the way
    assert float((in_doubles - model(x).logits).detach().abs().max()) > 1e-9


class MixesByConstants(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("mixing", torch.randn(4, 4))
        self.constant = torch.randn(4, 4)

    def forward(self, x):
        return x + self.linear(x @ self.mixing @ self.constant) @ torch.ones(4, 4, device=x.device)


def test_buffers_and_constants_follow_replaced_parameters():
    model = nn.Sequential(nn.Flatten(), MixesByConstants(), nn.Linear(4, 2)).eval()
    function = find_pieces(model, torch.randn(2, 2, 2)).units[0].branch
    parameters = {name: p.detach().double() for name, p in function.named_parameters()}
    x = torch.randn(3, 4, dtype=torch.float64)
    in_double = copy.deepcopy(model[1]).double()
    in_double.constant = in_double.constant.double()
    oracle = in_double.linear(x @ in_double.mixing @ in_double.constant).sum(1, keepdim=True).expand(3, 4)
    assert_equal(functional_call(function, parameters, (x,)), oracle)


def test_constants_follow_the_type_of_the_state():
    pieces = find_pieces(Tokens().eval(), torch.randint(0, 7, (2, 5)))
    x = torch.randn(2, 5, 16, dtype=torch.float64)
    for piece in (*pieces.units, pieces.head):
        x = in_double(piece.function)(x)
        assert x.dtype == torch.float64


def test_pieces_follow_a_network_that_is_converted_or_loaded():
    model = shaken(resnet(8, widths=WIDTHS))
    pieces = find_pieces(model, images())
    other = shaken(resnet(8, widths=WIDTHS))
    model.load_state_dict(other.state_dict())
    assert_equal(composed(pieces, x := images()), other(x))
    model.load_state_dict(shaken(other).state_dict(), assign=True)
    assert_equal(composed(pieces, x), other(x))
    model.double()
    other.double()
    assert_equal(composed(pieces, x.double()), other(x.double()))
    x = pieces.stem.function(x.double())
    assert_equal(pieces.units[0].branch(x), other.units[0].branch(x))


@pytest.mark.parametrize("mask", ["none", "bool", "float", "causal"])
def test_attention_by_plain_operations_is_that_of_torch(mask):
    q, k, v = (torch.randn(2, heads, 5, 8, dtype=torch.float64) for heads in (4, 2, 2))
    masks = {"bool": torch.rand(2, 1, 5, 5) > 0.3, "float": torch.randn(2, 1, 5, 5, dtype=torch.float64)}
    if mask == "bool":
        masks["bool"][..., 0] = True  # a row without any key is not defined
    arguments = {"attn_mask": masks.get(mask), "is_causal": mask == "causal", "scale": 0.3, "enable_gqa": True}
    assert_equal(attention(q, k, v, **arguments), nn.functional.scaled_dot_product_attention(q, k, v, **arguments))


def test_pieces_can_be_copied():
    pieces = find_pieces(encoder(True), torch.randn(2, 5, 16))
    again = copy.deepcopy(pieces.units[0].function)
    x = torch.randn(3, 5, 16)
    assert torch.equal(again(x), pieces.units[0].function(x))
    assert not {id(p) for p in again.parameters()} & {id(p) for p in pieces.units[0].function.parameters()}


def test_parameters_are_shared_and_named_as_in_the_network():
    model = encoder(True)
    pieces = find_pieces(model, torch.randn(2, 5, 16))
    own = dict(model.named_parameters())
    for piece in pieces.units:
        names = dict(piece.function.named_parameters())
        assert names
        assert all(own[name] is parameter for name, parameter in names.items())


def test_gradients_reach_the_network():
    model = shaken(resnet(8, widths=WIDTHS))
    composed(find_pieces(model, images()), images()).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("kind", ["resnet", "vit"])
def test_the_network_is_left_as_it_was(kind):
    model = shaken(resnet(8, widths=WIDTHS)) if kind == "resnet" else hugging_face_vit()
    next(model.parameters()).requires_grad_(False)

    def description():
        modules, tensors = dict(model.named_modules()), model.state_dict(keep_vars=True)
        return {
            "tensors": {n: (id(t), t.requires_grad, t.grad, t.clone()) for n, t in tensors.items()},
            "modules": {n: (m, m.training, len(m._forward_hooks | m._forward_pre_hooks)) for n, m in modules.items()},
            "attributes": {n: sorted(vars(m)) for n, m in modules.items()},
            "fast path": torch.backends.mha.get_fastpath_enabled(),
        }

    before = description()
    find_pieces(model, images())
    after = description()
    values = [{n: t[3] for n, t in d["tensors"].items()} for d in (before, after)]
    assert all(torch.equal(values[0][n], values[1][n]) for n in values[0])
    for d in (before, after):
        d["tensors"] = {n: t[:3] for n, t in d["tensors"].items()}
    assert before == after


# --- units that the caller names ---------------------------------------------------------------------


def test_named_layers_of_a_vision_transformer():
    model = hugging_face_vit()
    pieces = find_pieces(model, images(), units=["vit.layers.0", model.vit.layers[1]])
    assert [piece.name for piece in pieces.units] == ["vit.layers.0", "vit.layers.1"]
    assert [piece.module for piece in pieces.units] == list(model.vit.layers)
    # two additions in one unit: which summand is the skip path is no question with one answer
    assert all(piece.branch is None and piece.shortcut is None for piece in pieces.units)
    assert_composes(pieces, model, images(), lambda result: result.logits)


def test_named_units_take_what_lies_before_them():
    model = sequence(InPlaceBlock(4), nn.AvgPool2d(2), nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU()), features=64)
    pieces = find_pieces(model, images(), units=["1", "3"])
    assert [piece.module for piece in pieces.units] == [model[1], None]
    assert [piece.branch is None for piece in pieces.units] == [False, True]
    assert_composes(pieces, model, images())


def test_every_call_of_a_named_module_is_a_unit():
    model = shaken(Repeated(2))
    pieces = find_pieces(model, images(), units=[model.block])
    assert [piece.name for piece in pieces.units] == ["block@1", "block@2"]


@pytest.mark.parametrize(
    ("units", "message"),
    [
        (["conv9"], "no submodule 'conv9'"),
        ([], "units is empty"),
        ([nn.ReLU()], "ReLU, which is no submodule"),
        (["1", "1.conv1"], "'1.conv1'"),
        (["1.conv1"], "the output of '1.conv1' is not the whole state"),
        (["1.drop"], "'1.drop' is no step"),
    ],
)
def test_names_that_are_no_steps_of_a_chain(units, message):
    with pytest.raises(ValueError, match=message):
        find_pieces(sequence(InPlaceBlock(4)), images(), units=units)


class DependsOnValues(nn.Module):
    """Its path through the code depends on the input, which no graph can say."""

    def __init__(self):
        super().__init__()
        self.stem, self.blocks = nn.Conv2d(3, 4, 3, padding=1), nn.ModuleList([InPlaceBlock(4), InPlaceBlock(4)])
        self.out = nn.Linear(256, 10)

    def forward(self, x):
        x = self.stem(x)
        if not bool(torch.isfinite(x).all()):
            raise FloatingPointError
        for block in self.blocks:
            x = block(x)
        return self.out(x.flatten(1))


def test_a_network_that_cannot_be_traced_asks_for_names():
    with pytest.raises(RuntimeError, match=r"cannot trace DependsOnValues .*units=\['blocks.0', 'blocks.1'\]"):
        find_pieces(DependsOnValues().eval(), images())


def test_named_units_of_a_network_that_cannot_be_traced():
    model = shaken(DependsOnValues())
    pieces = find_pieces(model, images(), units=["blocks.0", "blocks.1"])
    assert [piece.module for piece in pieces.units] == list(model.blocks)
    assert_composes(pieces, model, images())
    x = torch.randn(2, 4, 8, 8)
    _, tangent = jvp(pieces.head.function, (x,), (x,))
    assert_equal(tangent, x.flatten(1) @ model.out.weight.mT)
    assert not any(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_attention_in_a_network_that_cannot_be_traced_has_derivatives():
    model = DependsOnValues()
    model.stem, model.blocks, model.out = nn.Linear(16, 16), encoder(True).layers, nn.Linear(80, 10)
    x = torch.randn(2, 5, 16)
    pieces = find_pieces(model.eval(), x, units=["blocks.0", "blocks.1"])
    assert_composes(pieces, model, x)
    y, tangent = jvp(pieces.units[0].function, (x,), (x,))
    cotangent = torch.randn_like(y)
    (backward,) = vjp(pieces.units[0].function, x)[1](cotangent)
    assert_equal((cotangent * tangent).sum(), (backward * x).sum(), roundings=1e3)


def test_untraced_units_must_follow_each_other():
    model = shaken(DependsOnValues())
    with pytest.raises(ValueError, match=r"'blocks.1' does not take what 'stem' returns.*cannot be traced"):
        find_pieces(model, images(), units=["stem", "blocks.1"])


# --- what is refused ---------------------------------------------------------------------------------


class Dense(nn.Module):
    def __init__(self, join):
        super().__init__()
        self.conv1, self.conv2, self.join = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), join

    def forward(self, x):
        return self.join(x, self.conv2(torch.relu(self.conv1(x))))


class TwoConvolutions(nn.Module):
    """Neither summand is a skip path of the other."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)

    def forward(self, x):
        return torch.relu(self.one(x)) + torch.tanh(self.two(x))


@pytest.mark.parametrize(
    "block",
    [
        nn.Identity(),
        nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU()),
        Dense(lambda x, y: torch.cat([x, y], 1)),
        Dense(lambda x, y: torch.cat([x * y, y], 1)),
        nn.Sequential(TwoConvolutions(), nn.Conv2d(4, 8, 1)),
    ],
    ids=["nothing", "convolutions", "DenseNet", "gate", "two convolutions beside each other"],
)
def test_networks_without_a_residual_addition(block):
    with pytest.raises(ValueError, match=r"no addition of a skip path was found.*units=\[...\]"):
        find_pieces(sequence(block, features=256 if isinstance(block, nn.Identity) else 512), images())


class Centred(nn.Module):
    def forward(self, x):
        return x - x.mean((2, 3), keepdim=True)


def test_centring_is_no_residual_unit():
    with pytest.raises(ValueError, match="no addition of a skip path"):
        find_pieces(sequence(Centred()), images())


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.inner = nn.Conv2d(3, 4, 2, 2), nn.Conv2d(4, 4, 3, padding=1)
        self.up = nn.ConvTranspose2d(4, 3, 2, 2)
        self.out = nn.Conv2d(6, 1, 1)

    def forward(self, x):
        y = self.down(x)
        # the inner addition is under the long skip path: its state is not all there is
        y = y + torch.relu(self.inner(y))
        return self.out(torch.cat([x, self.up(y)], 1))


def test_units_under_a_long_skip_path_are_no_steps_of_a_chain():
    with pytest.raises(ValueError, match=r"no addition of a skip path was found in UNet.*1 additions and 1 concaten"):
        find_pieces(UNet().eval(), images())


@pytest.mark.parametrize("where", [1, (1, "norm"), (1, "drop")])
def test_training_mode(where):
    model = sequence(InPlaceBlock(4))
    module = model[1] if where == 1 else getattr(model[1], where[1])
    module.train()
    with pytest.raises(ValueError, match=r"in training mode and .* call model.eval\(\)"):
        find_pieces(model, images())


class Noisy(nn.Module):
    def __init__(self, noise):
        super().__init__()
        self.conv, self.noise = nn.Conv2d(4, 4, 3, padding=1), noise

    def forward(self, x):
        return x + self.noise(self.conv(x))


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        (lambda y: nn.functional.dropout(y, 0.5, True), "active dropout"),
        (lambda y: y + torch.randn_like(y), "random numbers"),
        (lambda y: y + torch.randn(y.shape), "random numbers"),
        (lambda y: y - y.mean(0), "samples of a batch act on each other"),
        (lambda y: nn.functional.batch_norm(y, None, None, training=True), "batch norm over the batch"),
    ],
)
def test_noise_and_statistics_of_the_batch(noise, message):
    with pytest.raises(ValueError, match=message):
        find_pieces(sequence(Noisy(noise)), images())


def test_attention_over_the_first_axis():
    with pytest.raises(ValueError, match="batch_first=True"):
        find_pieces(encoder(True, batch_first=False), torch.randn(4, 5, 16))


def test_one_sample_is_enough_to_see_that_samples_act_on_each_other():
    with pytest.raises(ValueError, match="samples of a batch act on each other"):
        find_pieces(sequence(Noisy(lambda y: y - y.mean(0))), images(1))


def test_an_array_and_one_sample_are_examples_too():
    model = shaken(resnet(8, widths=WIDTHS))
    pieces = find_pieces(model, images(1).numpy().astype("float64"))
    assert len(pieces.units) == 3


class Returns(nn.Module):
    def __init__(self, form):
        super().__init__()
        self.body, self.form = sequence(InPlaceBlock(4)), form

    def forward(self, x, other=None):
        return self.form(self.body(x))


@pytest.mark.parametrize("form", [lambda y: (y,), lambda y: {"anything": y}, lambda y: {"logits": y, "x": 2 * y}])
def test_results_are_taken_by_their_logits(form):
    model = Returns(form).eval()
    pieces = find_pieces(model, {"x": images(), "other": None})
    assert_composes(pieces, model.body, images())


@pytest.mark.parametrize(
    ("form", "message"), [(lambda y: (y, y), "2 tensors in a tuple"), (lambda y: "word", "returns a str")]
)
def test_results_without_logits(form, message):
    with pytest.raises(TypeError, match=message):
        find_pieces(Returns(form).eval(), images())


@pytest.mark.parametrize(
    ("model", "example", "error", "message"),
    [
        (lambda x: x, torch.zeros(2, 3), TypeError, "model must be a torch.nn.Module"),
        (nn.Identity(), [1.0], TypeError, "example is of type list"),
        (nn.Identity(), torch.zeros(3), ValueError, r"example\[None\]"),
        (nn.Identity(), torch.zeros(0, 3), ValueError, "n at least 1"),
        (nn.Identity(), {"a": torch.zeros(2, 3), "b": torch.zeros(2, 3)}, TypeError, "2 tensors"),
        (nn.Identity(), torch.zeros(2, 3), ValueError, "no addition of a skip path"),
    ],
)
def test_models_and_examples_that_are_none(model, example, error, message):
    with pytest.raises(error, match=message):
        find_pieces(model, example)
