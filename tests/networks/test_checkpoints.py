import json
import os
from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import pad, relu

import resdyn
from resdyn.networks import Preprocessing, ResidualNetwork, ResidualStage, build, load, resnet, resnext, save
from resdyn.networks.checkpoints import places

REAL = pytest.mark.skipif(
    not os.environ.get("RESDYN_DATA"), reason="RESDYN_DATA names no folder with the public weights and CIFAR-10"
)
GREY = Preprocessing(0.5, 0.25)
TINY = {"widths": (2, 3, 4), "channels": 1, "classes": 3}


@pytest.fixture(autouse=True)
def _one_seed():
    torch.manual_seed(0)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder of its own, and no networks that come with the package."""
    monkeypatch.setenv("RESDYN_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(places, "SHIPPED", tmp_path / "shipped")
    folder = tmp_path / "data" / "weights"
    folder.mkdir(parents=True)
    return folder


def trained(net):
    """The net as if trained: batch norms that do something."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            module.num_batches_tracked += 7
    return net.eval()


@pytest.fixture
def net():
    net = trained(resnet(8, preprocessing=GREY, **TINY))
    net.card = {"seed": 3, "accuracy": np.float64(0.75), "classes": ["a", "b", "c"], "epochs": np.int64(2)}
    return net


def same_weights(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


# --- our own files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "architecture",
    [
        {"name": "resnet", "depth": 8, "order": "pre"},
        {"name": "resnet", "depth": 14, "widths": [2, 2, 2], "interpolation": "lambda-in"},
        {"name": "resnet", "depth": 14, "widths": [2, 2, 2], "interpolation": "in", "coefficient": 0.3},
        {"name": "resnext", "depth": 11, "cardinality": 2, "width": 2},
        {"name": "dense_resnet", "inputs": 4, "units": 6, "depth": 5, "classes": 2},
        {"name": "dense_resnet", "inputs": 4, "units": 6, "depth": 5, "classes": 2, "shared": False},
        {"name": "residual_cnn", "blocks": 3},
    ],
    ids=str,
)
def test_what_was_saved_is_loaded_bit_for_bit(tmp_path, architecture):
    net = build(architecture)
    path = save(net, tmp_path / "net.safetensors")
    again = load(path)
    assert same_weights(net, again)
    assert again.architecture == net.architecture
    assert again.preprocessing is None
    assert net.training
    assert not again.training


def test_the_card_says_what_the_network_is_and_how_it_was_trained(tmp_path, net):
    path = save(net, tmp_path / "net.safetensors")
    with safe_open(path, framework="np") as file:
        card = json.loads(file.metadata()["resdyn"])
    assert card["architecture"] == json.loads(json.dumps(net.architecture))
    assert card["preprocessing"] == {"mean": [0.5], "std": [0.25]}
    assert card["seed"] == 3
    assert card["resdyn"] == resdyn.__version__
    again = load(path)
    assert again.card == {"seed": 3, "accuracy": 0.75, "classes": ["a", "b", "c"], "epochs": 2}
    assert again.preprocessing == GREY
    pixels = torch.rand(2, 1, 8, 8)
    assert torch.equal(again.on_pixels(pixels), net.on_pixels(pixels))
    assert load(path, preprocessing=(0.1, 0.2)).preprocessing == Preprocessing(0.1, 0.2)
    # and once more round
    assert load(save(again, tmp_path / "again.safetensors")).card == again.card


@pytest.mark.parametrize(("dtype", "digits"), [(torch.float16, 11), (torch.bfloat16, 8)])
def test_short_numbers_are_rounded_once_and_coefficients_are_not(tmp_path, dtype, digits):
    net = resnet(14, interpolation="in", **TINY)
    path = save(net, tmp_path / "net.safetensors", dtype=dtype)
    again = load(path)
    for (name, before), after in zip(net.state_dict().items(), again.state_dict().values(), strict=True):
        assert after.dtype == before.dtype, name
        if before.ndim == 0:
            assert torch.equal(before, after), name
        else:
            assert torch.equal(before.to(dtype).float(), after), name
            # half a unit in the last of so many binary digits; below 2⁻¹⁴ float16 has steps of 2⁻²⁴
            torch.testing.assert_close(before, after, rtol=2.0**-digits, atol=2.0**-25)


def test_numbers_that_are_too_large_for_the_type_are_refused(tmp_path, net):
    with torch.no_grad():
        net.stem[0].weight[0] = 1e5
    with pytest.raises(ValueError, match=r"'stem.0.weight' holds numbers up to 1e\+05, too large for torch.float16"):
        save(net, tmp_path / "net.safetensors", dtype=torch.float16)
    assert list(tmp_path.iterdir()) == []
    save(net, tmp_path / "net.safetensors", dtype=torch.bfloat16)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_network_is_loaded_in_the_precision_asked_for(tmp_path, net, dtype):
    again = load(save(net.double(), tmp_path / "net.safetensors"), dtype=dtype)
    assert {parameter.dtype for parameter in again.parameters()} == {dtype}
    if dtype == torch.float64:
        assert same_weights(net, again)


def test_float64_weights_are_not_rounded_on_the_way(tmp_path, net):
    with torch.no_grad():
        net.double().stem[0].weight += 1e-12
    assert same_weights(load(save(net, tmp_path / "net.safetensors"), dtype=torch.float64), net)


def test_blocks_that_stand_twice_are_saved(tmp_path):
    block = nn.Linear(3, 3)
    net = ResidualNetwork(
        nn.Identity(), [ResidualStage(None, [block, block])], nn.Identity(), architecture={"name": "my"}
    )
    path = save(net, tmp_path / "net.safetensors")
    other = nn.Linear(3, 3)
    again = load(
        path,
        lambda: ResidualNetwork(
            nn.Identity(), [ResidualStage(None, [other, other])], nn.Identity(), architecture={"name": "my"}
        ),
    )
    assert torch.equal(again.units[1].weight, block.weight)
    with pytest.raises(ValueError, match=r"no architecture 'my'"):
        load(path)


def test_loading_draws_no_random_numbers(tmp_path, net):
    path = save(net, tmp_path / "net.safetensors")
    state = torch.get_rng_state()
    load(path)
    load(path, lambda: resnet(8, **TINY))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_file_appears_whole_or_not_at_all(tmp_path, net, monkeypatch, failure):
    path = save(net, tmp_path / "net.safetensors")
    content = path.read_bytes()
    with torch.no_grad():
        net.stem[0].weight += 1

    def fails(_):
        raise failure

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(type(failure)):
        save(net, path)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda net, d: save(net, d / "net.pt"), ValueError, "stored as .safetensors.*end it so"),
        (lambda net, d: save(net, d / "no" / "net.safetensors"), FileNotFoundError, "no' does not exist"),
        (lambda net, d: save(net, d / "n.safetensors", dtype=torch.int8), TypeError, "floating-point.*torch.int8"),
        (lambda net, d: save(nn.Linear(2, 2), d / "n.safetensors"), TypeError, "ResidualNetwork, but is a Linear"),
    ],
)
def test_bad_arguments_of_save(tmp_path, net, call, error, message):
    with pytest.raises(error, match=message):
        call(net, tmp_path)


def test_a_card_that_json_cannot_say_is_refused(tmp_path, net):
    net.card["optimizer"] = object()
    with pytest.raises(TypeError, match="cannot be written as JSON.*keep numbers, words"):
        save(net, tmp_path / "net.safetensors")
    assert list(tmp_path.iterdir()) == []


# --- names -------------------------------------------------------------------------------------------


def test_a_name_is_searched_among_ours_and_in_the_data_folder(data, net, tmp_path):
    save(net, data / "mine.safetensors")
    torch.save(net.state_dict(), data / "other.v2.pt")
    assert same_weights(load("mine"), net)
    assert same_weights(load("other.v2", preprocessing=GREY), net)
    # of two endings the safe one
    torch.save(resnet(8, **TINY).state_dict(), data / "mine.pt")
    assert same_weights(load("mine"), net)
    # ours come first
    (tmp_path / "shipped").mkdir()
    shipped = resnet(8, **TINY)
    save(shipped, tmp_path / "shipped" / "mine.safetensors")
    assert same_weights(load("mine"), shipped)
    with pytest.raises(FileNotFoundError) as caught:
        load("nothing")
    remedies = ("name its path", "'weights' of your data folder and set the environment variable RESDYN_DATA")
    for part in ("'nothing'", "come: mine.", "RESDYN_DATA) there are: mine, other.v2.", ".safetensors", *remedies):
        assert part in str(caught.value)


def test_a_file_in_this_folder_is_not_a_name(data, net, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(net, "net.safetensors")
    assert same_weights(load("net.safetensors"), net)
    with pytest.raises(FileNotFoundError, match="With resdyn come: none"):
        load("net")


# --- files of others ---------------------------------------------------------------------------------


class Unit(nn.Module):
    """A residual unit in the naming that most ResNets for CIFAR share, written without ours."""

    def __init__(self, before, inside, after, stride, *, pre, projection, names):
        super().__init__()
        self.pre, self.names, self.new, self.stride = pre, names, after - before, stride
        shapes = [(before, inside, 3, stride), (inside, after, 3, 1)]
        if names["bottleneck"]:
            shapes = [(before, inside, 1, 1), (inside, inside, 3, stride), (inside, after, 1, 1)]
        self.n = len(shapes)
        for k, (i, o, size, s) in enumerate(shapes, 1):
            setattr(self, f"conv{k}", nn.Conv2d(i, o, size, s, size // 2, bias=False))
            setattr(self, f"bn{k}", nn.BatchNorm2d(i if pre else o))
        if projection and (stride > 1 or self.new):
            convolution = nn.Conv2d(before, after, 1, stride, bias=False)
            layers = [nn.BatchNorm2d(before), nn.ReLU(), convolution] if pre else [convolution, nn.BatchNorm2d(after)]
            setattr(self, names["shortcut"], nn.Sequential(*layers))

    def forward(self, x):
        shortcut, g = getattr(self, self.names["shortcut"], None), x
        for k in range(1, self.n + 1):
            convolution, norm = getattr(self, f"conv{k}"), getattr(self, f"bn{k}")
            g = convolution(relu(norm(g))) if self.pre else norm(convolution(g))
            if not self.pre and k < self.n:
                g = relu(g)
        if shortcut is None:
            skip = x[:, :, :: self.stride, :: self.stride]
            skip = pad(skip, (0, 0, 0, 0, self.new // 2, self.new - self.new // 2))
        else:
            skip = shortcut(x)
        return skip + g if self.pre else relu(skip + g)


class Theirs(nn.Module):
    def __init__(self, *, pre=False, projection=False, bottleneck=False, linear="linear", shortcut="shortcut", n=2):
        super().__init__()
        names = {"bottleneck": bottleneck, "shortcut": shortcut}
        self.pre, self.read_out = pre, linear
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        before, factor = 4, 4 if bottleneck else 1
        for s, width in enumerate([4, 6, 8], 1):
            units = []
            for k in range(n):
                stride = 2 if s > 1 and k == 0 else 1
                units.append(Unit(before, width, factor * width, stride, pre=pre, projection=projection, names=names))
                before = factor * width
            setattr(self, f"layer{s}", nn.Sequential(*units))
        if pre:
            self.bn = nn.BatchNorm2d(before)
        else:
            self.bn1 = nn.BatchNorm2d(4)
        setattr(self, linear, nn.Linear(before, 5))

    def forward(self, x):
        x = self.conv1(x)
        if not self.pre:
            x = relu(self.bn1(x))
        x = self.layer3(self.layer2(self.layer1(x)))
        if self.pre:
            x = relu(self.bn(x))
        return getattr(self, self.read_out)(x.mean((2, 3)))


def identical(tensors):
    return tensors


def without_counters(tensors):
    return OrderedDict((name, tensor) for name, tensor in tensors.items() if "num_batches" not in name)


WRAPPED = {
    "bare": identical,
    "old torch": without_counters,
    "data parallel": lambda tensors: {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in tensors.items()}},
    "compiled": lambda tensors: {"model": {f"_orig_mod.module.{k}": v for k, v in tensors.items()}, "seed": 1},
    "nested": lambda tensors: {"net": {"model_state_dict": tensors}},
    "a tensor beside": lambda tensors: {"state_dict": tensors, "best_prec1": torch.tensor(91.7)},
    "averages alone": lambda tensors: {"epoch": 3, "state_dict_ema": tensors},
    "averaged model": lambda tensors: {"n_averaged": torch.tensor(3)} | {f"module.{k}": v for k, v in tensors.items()},
    "counted operations": lambda tensors: (
        {"total_ops": torch.zeros(1), "total_params": torch.zeros(1)}
        | {f"module.{k}": v for k, v in tensors.items()}
        | {"module.layer1.total_ops": torch.zeros(1)}
    ),
    "network": lambda tensors: {"network": {f"network.{k}": v for k, v in tensors.items()}},
}
KINDS = {
    "basic, option A": {},
    "projection": {"projection": True},
    "torchvision names": {"projection": True, "linear": "fc", "shortcut": "downsample"},
    "bottleneck": {"bottleneck": True, "projection": True},
    "bottleneck, option A": {"bottleneck": True},
    "pre-activation": {"pre": True},
    "pre-activation, projection": {"pre": True, "projection": True},
    "pre-activation bottleneck": {"pre": True, "bottleneck": True, "projection": True, "linear": "fc"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_network_of_others_is_inferred_and_computes_what_theirs_does(tmp_path, kind):
    theirs = trained(Theirs(**KINDS[kind]))
    torch.save(theirs.state_dict(), tmp_path / "theirs.pt")
    net = load(tmp_path / "theirs.pt")
    x = torch.randn(2, 3, 8, 8)
    # the same operations; only the mean over pixels may be added up in another order
    torch.testing.assert_close(net(x), theirs(x), rtol=1e-4, atol=1e-5)
    assert net.architecture["widths"] == [4, 6, 8]
    assert net.architecture["order"] == ("pre" if KINDS[kind].get("pre") else "post")
    assert net.preprocessing is None


@pytest.mark.parametrize("wrap", WRAPPED)
@pytest.mark.parametrize("ending", [".th", ".pt", ".pth"])
def test_wrappers_and_prefixes_are_taken_off(tmp_path, wrap, ending):
    theirs = trained(Theirs())
    path = tmp_path / f"theirs{ending}"
    torch.save(WRAPPED[wrap](theirs.state_dict()), path)
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(load(path)(x), theirs(x), rtol=1e-4, atol=1e-5)


def test_of_weights_and_their_average_the_weights_are_taken_with_a_warning(tmp_path):
    weights, average = trained(Theirs()), trained(Theirs())
    content = {"state_dict": weights.state_dict(), "state_dict_ema": average.state_dict()}
    torch.save(content, tmp_path / "both.pt")
    with pytest.warns(UserWarning, match="weights under 'state_dict', which are taken, .* under 'state_dict_ema'"):
        net = load(tmp_path / "both.pt")
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(net(x), weights(x), rtol=1e-4, atol=1e-5)


def test_safetensors_without_a_card_are_read_too(tmp_path):
    theirs = trained(Theirs())
    save_file(theirs.state_dict(), tmp_path / "theirs.safetensors", metadata={"format": "pt"})
    x = torch.randn(2, 3, 8, 8)
    net = load(tmp_path / "theirs.safetensors", preprocessing=((0.5,) * 3, (0.2,) * 3))
    torch.testing.assert_close(net(x), theirs(x), rtol=1e-4, atol=1e-5)
    assert net.preprocessing == Preprocessing((0.5,) * 3, (0.2,) * 3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: resnet(14, **TINY),
        lambda: resnet(14, order="pre", **TINY),
        lambda: resnet(20, bottleneck=True, **TINY),
        lambda: resnet(8, shortcut="projection", **TINY),
        lambda: resnext(20, cardinality=2, width=3, order="pre"),
        lambda: resnext(11, cardinality=4, width=2),
        lambda: resnext(11, cardinality=2, width=2, outside=(64, 12, 20), order="pre"),
    ],
)
def test_our_own_resnets_are_inferred_without_their_card(tmp_path, make):
    net = trained(make())
    torch.save(net.state_dict(), tmp_path / "net.pt")
    again = load(tmp_path / "net.pt")
    assert again.architecture == json.loads(json.dumps(net.architecture))
    assert same_weights(again, net)


def four_stages():
    tensors = Theirs().state_dict()
    return tensors | {name.replace("layer3", "layer4"): t for name, t in tensors.items() if "layer3" in name}


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        (lambda: nn.Linear(2, 2).state_dict(), r"not the names of a ResNet. It holds 2 tensors: weight, bias"),
        (four_stages, "there are 4 stages, and ResNets for CIFAR have 3"),
        (lambda: resnet(14, interpolation="in").state_dict(), "not whether they are 'in' or 'lambda-in'"),
        (lambda: {k: v for k, v in Theirs().state_dict().items() if "layer2.1" not in k}, "have 2, 1, 2 units"),
        (lambda: {k: v for k, v in Theirs().state_dict().items() if "linear" not in k}, "no linear read-out"),
        (lambda: {k: v for k, v in Theirs().state_dict().items() if "conv2" not in k}, "neither 2 nor 3 convolutions"),
        (lambda: build("mlp", inputs=2, units=3, depth=2, classes=2).state_dict(), "not the names of a ResNet"),
    ],
)
def test_what_cannot_be_inferred_is_asked_for(tmp_path, tensors, reason):
    torch.save(tensors(), tmp_path / "net.pt")
    with pytest.raises(ValueError, match=rf"has no card.*{reason}.*Pass architecture=: a name, a dictionary"):
        load(tmp_path / "net.pt")


@settings(max_examples=40, deadline=None)
@given(
    spoilt=st.dictionaries(
        st.sampled_from(sorted(Theirs(projection=True).state_dict())),
        st.lists(st.integers(0, 4), max_size=4),
        min_size=1,
        max_size=4,
    )
)
def test_tensors_of_any_shape_are_an_error_and_no_crash(tmp_path_factory, spoilt):
    path = tmp_path_factory.mktemp("spoilt") / "theirs.safetensors"
    tensors = Theirs(projection=True).state_dict()
    right = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    assume(any(right[name] != tuple(shape) for name, shape in spoilt.items()))
    save_file(tensors | {name: torch.zeros(shape) for name, shape in spoilt.items()}, path)
    with pytest.raises(ValueError, match="Pass (the )?architecture="):
        load(path)


@pytest.mark.parametrize("kind", ["in", "lambda-in"])
def test_the_kind_of_interpolation_is_all_that_must_be_told(tmp_path, kind):
    net = trained(resnet(14, interpolation=kind, order="pre", **TINY))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    again = load(tmp_path / "net.pt", {"name": "resnet", "interpolation": kind})
    assert again.architecture == net.architecture
    assert same_weights(again, net)


@pytest.mark.parametrize("kind", ["in", "lambda-in"])
@pytest.mark.parametrize("coefficient", [0, 1, 0.3])
def test_learned_coefficients_do_not_become_fixed_ones(tmp_path, kind, coefficient):
    net = resnet(14, interpolation=kind, **TINY)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    told = {"name": "resnet", "interpolation": kind, "coefficient": coefficient}
    with pytest.raises(ValueError, match=rf"fixes λ = {coefficient:g}, but .* holds λ = .*leave coefficient out"):
        load(tmp_path / "net.pt", told)


@pytest.mark.parametrize(("kind", "k"), [("in", 0.7), ("lambda-in", 0.3)])
def test_files_that_hold_a_fixed_coefficient_are_read(tmp_path, kind, k):
    # as earlier versions wrote them: k in single precision among the weights
    net = resnet(14, interpolation=kind, coefficient=0.3, **TINY)
    damped = [name for name, unit in net.named_modules() if getattr(unit, "interpolation", None) is not None]
    tensors = net.state_dict() | {f"{name}.interpolation.k": torch.tensor(k) for name in damped}
    card = {"format": 1, "architecture": net.architecture}
    save_file(tensors, tmp_path / "net.safetensors", metadata={"resdyn": json.dumps(card)})
    again = load(tmp_path / "net.safetensors", dtype=torch.float64)
    assert again.architecture == net.architecture
    assert {unit.interpolation.value.item() for unit in again.units if unit.interpolation is not None} == {0.3}


# --- architecture= -----------------------------------------------------------------------------------


def test_the_architecture_can_be_told_in_four_ways(tmp_path):
    net = resnet(14, interpolation="in", **TINY).eval()
    torch.save(net.state_dict(), tmp_path / "net.pt")
    instance = resnet(14, interpolation="in", **TINY)
    for architecture in (net.architecture, lambda: resnet(14, interpolation="in", **TINY), instance):
        assert same_weights(load(tmp_path / "net.pt", architecture), net)
    assert load(tmp_path / "net.pt", instance) is instance
    save_file(resnet(8, **TINY).state_dict(), tmp_path / "plain.safetensors")
    # a name alone is completed by what the shapes show
    assert load(tmp_path / "plain.safetensors", "resnet").architecture["widths"] == [2, 3, 4]


def test_names_of_others_are_understood_with_an_architecture(tmp_path):
    theirs = trained(Theirs())
    torch.save(theirs.state_dict(), tmp_path / "theirs.pt")
    net = load(tmp_path / "theirs.pt", {"name": "resnet", "depth": 14, "widths": (4, 6, 8), "classes": 5})
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(net(x), theirs(x), rtol=1e-4, atol=1e-5)


def test_an_architecture_must_agree_with_the_card(tmp_path, net):
    path = save(net, tmp_path / "net.safetensors")
    for architecture in ("resnet", {"name": "resnet", "depth": 8}, {"name": "resnet", "widths": (2, 3, 4)}, net):
        assert same_weights(load(path, architecture), net)
    other = resnet(14, **TINY)
    for architecture, word in (
        ("resnext", "'name' is 'resnext', but the card says 'resnet'"),
        ({"name": "resnet", "depth": 20}, "'depth' is 20, but the card says 8"),
        ({"name": "resnet", "interpolation": "in"}, "'interpolation' is 'in', but the card says None"),
        (other, "'depth' is 14"),
        (lambda: other, "'depth' is 14"),
    ):
        with pytest.raises(ValueError, match=f"contradicts the card.*{word}"):
            load(path, architecture)


def test_arguments_that_an_older_card_does_not_know_are_the_defaults(tmp_path):
    net = build("dense_resnet", inputs=2, units=3, depth=4, classes=2)
    described = {key: value for key, value in net.architecture.items() if key not in ("bias", "scale")}
    card = {"format": 1, "architecture": described}
    save_file(net.state_dict(), tmp_path / "net.safetensors", metadata={"resdyn": json.dumps(card)})
    for architecture in (None, net.architecture, build(net.architecture)):
        again = load(tmp_path / "net.safetensors", architecture)
        assert same_weights(again, net)
        assert again.architecture == net.architecture


def test_a_network_is_unchanged_if_the_tensors_do_not_fit(tmp_path):
    torch.save(resnet(8, widths=(2, 2, 2)).state_dict(), tmp_path / "net.pt")
    instance = resnet(14, widths=(2, 3, 2), shortcut="projection", order="pre")
    before = {name: tensor.clone() for name, tensor in instance.state_dict().items()}
    with pytest.raises(ValueError, match="not those of") as caught:
        load(tmp_path / "net.pt", instance, preprocessing=GREY, dtype=torch.float64)
    for part in (r"missing, first ", "unexpected, first stem.1.weight", "of another shape, first stages.0."):
        assert part in str(caught.value)
    assert instance.training
    assert instance.preprocessing is None
    for name, tensor in instance.state_dict().items():
        assert tensor.dtype == before[name].dtype
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"architecture": 20}, TypeError, "architecture must be a name, a dictionary.*but is 20"),
        ({"architecture": lambda: nn.Linear(2, 2)}, TypeError, "made a Linear.*pass them to resdyn.networks.unroll"),
        ({"architecture": "vgg"}, ValueError, "no architecture 'vgg'"),
        ({"dtype": torch.int32}, TypeError, "dtype must be a floating-point type"),
        ({"dtype": "float32"}, TypeError, "dtype must be a floating-point type"),
        ({"preprocessing": 0.5}, TypeError, r"a pair \(mean, std\)"),
        ({"preprocessing": ((0.5,), (0.0,))}, ValueError, "pixels are divided by it"),
    ],
)
def test_bad_arguments_of_load(tmp_path, options, error, message):
    torch.save(resnet(8).state_dict(), tmp_path / "net.pt")
    with pytest.raises(error, match=message):
        load(tmp_path / "net.pt", **options)


def test_a_device_that_is_not_there_is_an_error(tmp_path, net, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        RuntimeError, match="device is 'cuda:1', but torch finds no CUDA device here; leave device= out"
    ):
        load(save(net, tmp_path / "net.safetensors"), device="cuda:1")


# --- damaged and dangerous files ---------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
def test_truncated_files_are_refused(tmp_path, net, share, ending):
    path = tmp_path / f"net{ending}"
    if ending == ".pt":
        torch.save(net.state_dict(), path)
    else:
        save(net, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match="is damaged, or"):
        load(path)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", bytes(100), b"\x80\x04N."])
@pytest.mark.parametrize("ending", [".safetensors", ".pt", ".th"])
def test_files_of_another_kind_are_refused(tmp_path, content, ending):
    path = tmp_path / f"net{ending}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"is damaged, or|holds a NoneType"):
        load(path)


@pytest.mark.parametrize("card", ["{", "[]", '{"format": 1}', '{"format": 1, "architecture": 3}'])
def test_a_damaged_card_is_refused(tmp_path, net, card):
    save_file(net.state_dict(), tmp_path / "net.safetensors", metadata={"resdyn": card})
    with pytest.raises(ValueError, match="the card of .* is damaged"):
        load(tmp_path / "net.safetensors")


@pytest.mark.parametrize("place", [-200, -50])
def test_one_flipped_bit_of_the_weights_is_seen(tmp_path, net, place):
    path = save(net, tmp_path / "net.safetensors")
    content = bytearray(path.read_bytes())
    content[place] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"net\.safetensors' is damaged: its weights are not those"):
        load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"preprocessing": {"mean": [0.5]}}, "its preprocessing is .*'std'.*pass preprocessing="),
        ({"preprocessing": {"mean": [0.5] * 3, "std": [1.0] * 3}}, "has 3 means, but .* images of 1 channels"),
        ({"architecture": {"name": "vgg"}}, "cannot build .*no architecture 'vgg'.*update resdyn"),
        ({"architecture": {"name": "resnet", "twist": 1}}, "cannot build .*no argument 'twist'.*update resdyn"),
        ({"architecture": {"name": "resnet", "depth": 21}}, "cannot build .*depth is 21.*update resdyn"),
    ],
)
def test_cards_that_say_the_impossible_are_errors_with_the_path(tmp_path, net, change, message):
    card = {"format": 1, "architecture": net.architecture, **change}
    save_file(net.state_dict(), tmp_path / "net.safetensors", metadata={"resdyn": json.dumps(card)})
    with pytest.raises(ValueError, match=rf"net\.safetensors'.*{message}|{message}") as caught:
        load(tmp_path / "net.safetensors")
    assert "net.safetensors" in str(caught.value)


def test_a_card_of_the_future_is_refused(tmp_path, net):
    card = {"format": 2, "architecture": net.architecture}
    save_file(net.state_dict(), tmp_path / "net.safetensors", metadata={"resdyn": json.dumps(card)})
    with pytest.raises(ValueError, match="has format 2, but.*reads format 1; update resdyn"):
        load(tmp_path / "net.safetensors")


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    ("content", "needed"),
    [
        (lambda net, evil: {"state_dict": net.state_dict(), "extra": evil}, r"(posix|nt)\.mkdir"),
        (lambda net, evil: net, r"resdyn\.networks\.architectures\.contract\.ResidualNetwork"),
        (
            lambda net, evil: {"state_dict": net.state_dict(), "accuracy": np.float64(0.9)},
            r"numpy\.\w+\.multiarray\.scalar",
        ),
    ],
    ids=["code", "a whole network", "a NumPy number"],
)
def test_a_pickle_that_needs_code_is_refused_unrun(tmp_path, net, content, needed):
    path = tmp_path / "net.pt"
    torch.save(content(net, Evil(tmp_path / "made")), path)
    with pytest.raises(ValueError, match=rf"is refused.*it needs {needed},.*store net.state_dict\(\) alone"):
        load(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3, "best": 0.9}, "a dictionary with 'epoch', 'best', but no weights under state_dict"),
        ({}, "a dictionary with nothing"),
        ([torch.zeros(2)], "holds a list, but no state dict"),
        (torch.zeros(2), "holds a Tensor, but no state dict"),
    ],
)
def test_files_without_weights_are_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "net.pt")
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "net.pt")


def test_wrong_places(tmp_path, net):
    with pytest.raises(IsADirectoryError, match="is a folder; give a file in it"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load(tmp_path / "none.pt")
    (tmp_path / "net.npz").write_bytes(b"")
    with pytest.raises(ValueError, match=r"ends in '.npz', but networks are read from .safetensors, .th, .pt, .pth"):
        load(tmp_path / "net.npz")
    with pytest.raises(TypeError, match="path_or_name must be a path or a name, but is 3"):
        load(3)


# --- the public weights ------------------------------------------------------------------------------

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@REAL
@pytest.mark.parametrize(("name", "depth", "right"), [("resnet20-12fca82f", 20, 9173), ("resnet56-4bfd9763", 56, 9339)])
def test_the_public_weights_classify_exactly_so_many_test_images(name, depth, right):
    net = load(name, preprocessing=IMAGENET)
    assert net.architecture["depth"] == depth
    assert net.architecture["shortcut"] == "pad"
    net = net.to(memory_format=torch.channels_last)
    test = resdyn.data.cifar10("test")
    found = 0
    with torch.inference_mode():
        for first in range(0, len(test), 50):  # states of 50 images stay in the cache
            batch = test.subset(slice(first, first + 50))
            found += int((net.on_pixels(batch.pixels()).argmax(1).numpy() == batch.labels).sum())
    assert found == right
