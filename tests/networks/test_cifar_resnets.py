import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, conv2d, pad, relu

from resdyn.networks import InterpolationCoefficient, build, resnet, resnext
from resdyn.networks.architectures.blocks import PaddedSubsampling

SMALL = {"widths": (4, 6, 8), "channels": 2, "classes": 5}


@pytest.fixture(autouse=True)
def _one_seed():
    torch.manual_seed(0)


def images(n=3, channels=2, size=8):
    return torch.randn(n, channels, size, size)


def n_parameters(net):
    return sum(parameter.numel() for parameter in net.parameters())


def scrambled(net):
    """The net in evaluation mode with batch norms that do something."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return net.eval()


# --- sizes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("depth", "millions"),
    [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)],  # he2016, table 6
)
def test_resnets_have_the_published_numbers_of_parameters(depth, millions):
    # as many decimals as the table has
    assert round(n_parameters(resnet(depth)) / 1e6, 1 if depth == 110 else 2) == millions


def test_resnet_164_has_the_published_number_of_parameters():
    assert round(n_parameters(resnet(164, order="pre")) / 1e6, 1) == 1.7  # he2016identity, table 4


def test_resnext_29_has_the_published_number_of_parameters():
    with torch.device("meta"):
        net = resnext(29, cardinality=8, width=64)
    assert round(n_parameters(net) / 1e6, 1) == 34.4  # xie2017, table 7


def test_interpolation_adds_one_number_per_damped_unit_and_damps_51_of_54_at_depth_110():
    plain, damped = resnet(110, order="pre"), resnet(110, order="pre", interpolation="in")
    assert len(damped.units) == 54
    assert sum(unit.interpolation is not None for unit in damped.units) == 51
    assert n_parameters(damped) - n_parameters(plain) == 51
    undamped = [k for k, unit in enumerate(damped.units) if unit.interpolation is None]
    assert undamped == [0, 18, 36]  # the first, and the two that change the width


@pytest.mark.parametrize(
    ("net", "entries", "blocks"),
    [
        (lambda: resnet(20), [False, True, True], [3, 2, 2]),
        (lambda: resnet(20, order="pre"), [False, True, True], [3, 2, 2]),
        (lambda: resnet(20, bottleneck=True), [True, True, True], [1, 1, 1]),
        (lambda: resnext(11, cardinality=2, width=2), [True, True, True], [0, 0, 0]),
    ],
)
def test_a_stage_begins_with_the_unit_that_changes_the_shape(net, entries, blocks):
    net = net().eval()
    assert [stage.entry is not None for stage in net.stages] == entries
    assert [len(stage.blocks) for stage in net.stages] == blocks
    assert net.units == [unit for stage in net.stages for unit in stage.units()]
    x = net.stem(torch.randn(2, 3, 8, 8))
    for stage in net.stages:
        if stage.entry is not None:
            before, x = x.shape, stage.entry(x)
            assert x.shape != before
        for block in stage.blocks:
            before, x = x.shape, block(x)
            assert x.shape == before


# --- against a forward pass by hand ------------------------------------------------------------------


def by_hand(net, x):
    """A basic ResNet with option-A shortcuts written out from its tensors alone, as [he2016]_ and [he2016identity]_
    describe it."""
    tensors = net.state_dict()
    post = net.architecture["order"] == "post"

    def conv(name, x, stride=1):
        return conv2d(x, tensors[f"{name}.weight"], stride=stride, padding=1)

    def norm(name, x):
        mean, var, scale, shift = (
            tensors[f"{name}.{what}"][:, None, None] for what in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / torch.sqrt(var + 1e-5) * scale + shift

    x = conv("stem.0", x)
    if post:
        x = relu(norm("stem.1", x))
    for s in range(3):
        names = [f"stages.{s}.entry"] if s else []
        names += [f"stages.{s}.blocks.{k}" for k in range(len(net.stages[s].blocks))]
        for name in names:
            stride, b = (2 if name.endswith("entry") else 1), f"{name}.branch"
            if post:
                g = norm(f"{b}.4", conv(f"{b}.3", relu(norm(f"{b}.1", conv(f"{b}.0", x, stride)))))
            else:
                g = conv(f"{b}.5", relu(norm(f"{b}.3", conv(f"{b}.2", relu(norm(f"{b}.0", x)), stride))))
            skip = x[:, :, ::stride, ::stride]
            new = g.shape[1] - skip.shape[1]
            x = pad(skip, (0, 0, 0, 0, new // 2, new - new // 2)) + g
            if post:
                x = relu(x)
    if not post:
        x = relu(norm("head.0", x))
    x = avg_pool2d(x, x.shape[-1]).flatten(1)
    place = 2 if post else 4
    return x @ tensors[f"head.{place}.weight"].T + tensors[f"head.{place}.bias"]


@pytest.mark.parametrize("order", ["post", "pre"])
def test_the_forward_pass_is_the_published_one(order):
    net = scrambled(resnet(14, order=order, shortcut="pad", **SMALL)).double()
    x = images().double()
    # the same sums in another order: rounding of float64 over 14 layers
    torch.testing.assert_close(net(x), by_hand(net, x), rtol=1e-10, atol=1e-10)


def test_option_a_takes_every_second_pixel_and_appends_zero_channels_on_both_sides():
    x = images(channels=3)
    after = PaddedSubsampling(3, 6, 2)(x)
    np.testing.assert_array_equal(after[:, 1:4], x[:, :, ::2, ::2])
    assert not after[:, [0, 4, 5]].any()
    assert after.shape == (3, 6, 4, 4)


def test_projections_are_conv_bn_in_post_order_and_bn_relu_conv_in_pre_order():
    kinds = {
        order: [type(layer) for layer in resnet(8, order=order, shortcut="projection").stages[1].entry.shortcut]
        for order in ("post", "pre")
    }
    assert kinds == {"post": [nn.Conv2d, nn.BatchNorm2d], "pre": [nn.BatchNorm2d, nn.ReLU, nn.Conv2d]}


def test_bottlenecks_stride_in_the_middle_and_resnext_has_groups_there():
    branch = resnext(11, cardinality=4, width=2).stages[1].entry.branch
    convolutions = [layer for layer in branch if isinstance(layer, nn.Conv2d)]
    assert [layer.stride[0] for layer in convolutions] == [1, 2, 1]
    assert [layer.kernel_size[0] for layer in convolutions] == [1, 3, 1]
    assert [layer.groups for layer in convolutions] == [1, 4, 1]
    assert [layer.out_channels for layer in convolutions] == [16, 16, 512]


def test_convolutions_begin_with_the_published_variance():
    weight = resnet(20).stages[2].entry.branch[0].weight.detach()
    assert weight.shape == (64, 32, 3, 3)
    # 64·32·9 draws of N(0, 2 / (9·64)): the sample deviation has a relative error of 1/√(2·18432) = 0.5 %
    assert float(weight.std()) == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.02)


# --- interpolation -----------------------------------------------------------------------------------

FAMILIES = {
    "post": lambda **options: resnet(14, order="post", **SMALL, **options),
    "pre": lambda **options: resnet(14, order="pre", **SMALL, **options),
    "bottleneck": lambda **options: resnet(20, bottleneck=True, **SMALL, **options),
    "resnext post": lambda **options: resnext(20, cardinality=2, width=1, channels=2, **options),
    "resnext pre": lambda **options: resnext(20, order="pre", cardinality=2, width=1, channels=2, **options),
}


def pair(family, kind, coefficient):
    """A net and its interpolated form, with the same weights."""
    plain = scrambled(FAMILIES[family]())
    damped = FAMILIES[family](interpolation=kind, coefficient=coefficient).eval()
    damped.load_state_dict(plain.state_dict())  # a fixed λ is no weight
    return plain, damped


@pytest.mark.parametrize("kind", ["in", "lambda-in"])
@pytest.mark.parametrize("family", FAMILIES)
def test_coefficient_0_is_the_network_without_interpolation(family, kind):
    plain, damped = pair(family, kind, 0.0)
    x = images()
    with torch.inference_mode():
        # 1·x and 1·f(x) are exact, so every bit agrees
        assert torch.equal(damped(x), plain(x))


@pytest.mark.parametrize("kind", ["in", "lambda-in"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("coefficient", [1.0, 1, 2, 0.3, 1.7])
def test_a_damped_unit_weighs_skip_and_branch(family, kind, coefficient):
    _, damped = pair(family, kind, coefficient)
    units = [unit for unit in damped.units if unit.interpolation is not None]
    assert units
    for unit in units:
        width = [layer for layer in unit.branch if isinstance(layer, nn.Conv2d)][-1].out_channels
        x = torch.randn(2, width, 4, 4)
        gain = 1 + coefficient if kind == "lambda-in" else 1
        expected = (1 - coefficient) * x + gain * unit.branch(x)
        if not isinstance(unit.after, nn.Identity):
            expected = relu(expected)
        if coefficient == 1.0:
            # the skip path is gone: f(x) for In-ResNet, 2 f(x) for λ-In-ResNet, exactly
            alone = gain * unit.branch(x)
            assert torch.equal(unit(x), alone if isinstance(unit.after, nn.Identity) else relu(alone))
        # gains are rounded to float32, 6e-8
        torch.testing.assert_close(unit(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "deep", "low", "high"),
    [("in", False, 0.75, 0.8), ("lambda-in", False, 0.2, 0.25), ("in", True, 0.8, 0.9), ("lambda-in", True, 0.1, 0.2)],
)
def test_coefficients_begin_where_the_paper_lets_them(kind, deep, low, high):
    net = resnet(164 if deep else 56, interpolation=kind, widths=(1, 1, 1), order="pre")
    drawn = [unit.interpolation.k.item() for unit in net.units if unit.interpolation is not None]
    assert low <= min(drawn) < max(drawn) <= high
    # of 24 uniform draws or more all lie in a half of the range with probability 1e-7
    assert min(drawn) < (low + high) / 2 < max(drawn)
    assert net.architecture["start"] == [low, high]
    for unit in net.units:
        if unit.interpolation is not None:
            k = unit.interpolation.k
            assert torch.equal(unit.interpolation.value, 1 - k if kind == "in" else k)


@pytest.mark.parametrize("kind", ["in", "lambda-in"])
def test_learned_coefficients_get_gradients_and_fixed_ones_are_no_parameters(kind):
    learned = resnet(14, interpolation=kind, **SMALL)
    learned(images()).square().sum().backward()
    gradients = [unit.interpolation.k.grad for unit in learned.units if unit.interpolation is not None]
    assert gradients
    assert all(float(gradient.abs()) > 0 for gradient in gradients)
    fixed = resnet(14, interpolation=kind, coefficient=0.25, **SMALL)
    assert not any("interpolation" in name for name, _ in fixed.named_parameters())
    assert fixed.state_dict().keys() == resnet(14, **SMALL).state_dict().keys()


@pytest.mark.parametrize("kind", ["in", "lambda-in"])
@pytest.mark.parametrize("coefficient", [0, 1, 2, 0.3, np.float32(0.5)])
def test_a_fixed_coefficient_is_exact_in_every_precision(kind, coefficient):
    net = resnet(14, interpolation=kind, coefficient=coefficient, **SMALL)
    assert type(net.architecture["coefficient"]) is float
    for dtype in (torch.float16, torch.float64):
        net.to(dtype)
        for unit in net.units:
            if unit.interpolation is not None:
                assert unit.interpolation.value.item() == float(coefficient)
    unit = next(unit for unit in net.eval().units if unit.interpolation is not None)
    x = torch.randn(2, next(m for m in unit.modules() if isinstance(m, nn.Conv2d)).in_channels, 4, 4).double()
    gain = 1 + float(coefficient) if kind == "lambda-in" else 1.0
    expected = relu((1 - float(coefficient)) * x + gain * unit.branch(x))
    # sums are rounded once more or less
    torch.testing.assert_close(unit(x), expected, rtol=1e-14, atol=1e-14)


def test_the_coefficient_stops_at_zero_and_has_no_upper_bound():
    coefficient = InterpolationCoefficient("in", (1.5, 1.5))
    assert coefficient.value.item() == 0
    assert InterpolationCoefficient("in", (-1.0, -1.0)).value.item() == 2
    assert InterpolationCoefficient("lambda-in", (-0.5, -0.5)).value.item() == 0
    assert [float(gain) for gain in InterpolationCoefficient("lambda-in", (0, 0), 3.0).gains()] == [-2.0, 4.0]
    assert [float(gain) for gain in InterpolationCoefficient("in", (0, 0), 3.0).gains()] == [-2.0, 1.0]
    assert resnet(8, **SMALL).units[0].gains() == (1.0, 1.0)
    assert repr(InterpolationCoefficient("in", (0, 0), 0.25)) == "InterpolationCoefficient('in', λ=0.25, fixed)"
    assert repr(coefficient) == "InterpolationCoefficient('in', λ=0, learned)"


# --- bad arguments -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: resnet(21), ValueError, r"depth is 21.*6n \+ 2: 8, 20, 56"),
        (lambda: resnet(2), ValueError, "depth is 2"),
        (lambda: resnet(20.0), TypeError, "depth must be an integer"),
        (lambda: resnext(28), ValueError, r"9n \+ 2: 11, 29, 83"),
        (lambda: resnet(order="middle"), ValueError, "order is 'middle'; there are 'post' and 'pre'"),
        (lambda: resnet(shortcut="none"), ValueError, "shortcut is 'none'"),
        (lambda: resnet(8, interpolation="out"), ValueError, "interpolation is 'out'; there are 'in'"),
        (lambda: resnet(coefficient=0.1), ValueError, "belong to interpolation, which is None"),
        (lambda: resnet(interpolation="in", coefficient=-0.1), ValueError, "the coefficient λ must be a finite"),
        (lambda: resnet(interpolation="in", coefficient="1/2"), TypeError, "the coefficient λ must be a number"),
        (lambda: resnet(widths=16), TypeError, "widths must be three integers"),
        (lambda: resnet(interpolation="in", coefficient=0.1, start=(0, 1)), ValueError, "pass one of them"),
        (lambda: resnet(interpolation="in", start=(1, 0)), ValueError, "smaller one first"),
        (lambda: resnet(interpolation="in", start=0.5), ValueError, "two finite numbers"),
        (lambda: resnet(widths=(16, 32)), ValueError, "three stages; give three"),
        (lambda: resnet(widths=(16, 8, 32)), ValueError, "widths that do not shrink"),
        (lambda: resnet(classes=0), ValueError, "classes must be at least 1"),
        (lambda: resnext(outside=(64, 128)), ValueError, r"outside holds \(64, 128\), but there are three stages"),
        (lambda: resnext(outside=64), TypeError, "outside must be three integers"),
        (lambda: resnext(cardinality=0), ValueError, "cardinality must be at least 1"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_widths_may_shrink_with_projections():
    net = resnet(8, widths=(6, 4, 4), shortcut="projection").eval()
    assert net(torch.randn(1, 3, 8, 8)).shape == (1, 10)
    assert build(net.architecture).architecture == net.architecture
