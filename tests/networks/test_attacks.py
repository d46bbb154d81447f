"""Attacks against closed forms of linear classifiers, against foolbox, and against their own promises."""

import sys
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import resdyn
from resdyn.networks.architectures.cifar_resnets import resnet
from resdyn.networks.architectures.contract import Preprocessing
from resdyn.networks.robustness import Attack, deepfool, fgsm, i_fgsm, pgd, random_perturbations
from resdyn.networks.unrolling import unroll

torch.set_num_threads(1)

# numbers of single precision, in which foolbox keeps them
MEAN, STD = (0.5, 0.484375, 0.4375), (0.25, 0.203125, 0.21875)


def small_net(classes=4, dtype=torch.float64, seed=0):
    """A ResNet-8 whose batch norms have seen images, in eval mode."""
    torch.manual_seed(seed)
    net = resnet(8, classes=classes, preprocessing=Preprocessing(MEAN, STD))
    net.train()
    with torch.no_grad():
        net(torch.randn(32, 3, 8, 8))
    return net.to(dtype).eval()


class Linear(nn.Module):
    """Logits W (x − 1/2) + b of flattened pixels."""

    def __init__(self, weights, offsets):
        super().__init__()
        self.weights, self.offsets = nn.Parameter(weights), nn.Parameter(offsets)

    def forward(self, x):
        return (x.flatten(1) - 0.5) @ self.weights.T + self.offsets


def linear_net(classes=2, shape=(1, 4, 4), seed=0):
    rng = np.random.default_rng(seed)
    weights = torch.from_numpy(rng.normal(size=(classes, int(np.prod(shape)))))
    return Linear(weights, torch.from_numpy(0.2 * rng.normal(size=classes))).eval()


def some_images(n=6, shape=(3, 8, 8), seed=1, low=0.0, high=1.0):
    return np.random.default_rng(seed).uniform(low, high, size=(n, *shape))


def some_labels(n=6, classes=4, seed=2):
    return np.random.default_rng(seed).integers(classes, size=n)


# --- closed forms ------------------------------------------------------------------------------------


def test_on_two_linear_classes_the_sign_step_follows_the_difference_of_the_weights():
    net, images = linear_net(), some_images(shape=(1, 4, 4), low=0.3, high=0.7)
    labels = np.array([0, 1] * 3)
    weights = net.weights.detach().numpy()
    away = (weights[1 - labels] - weights[labels]).reshape(images.shape)
    found = fgsm(net, images, labels, radius=0.1, preprocessing=None)
    # one sum and one difference of numbers below 1
    np.testing.assert_allclose(found.perturbations, 0.1 * np.sign(away), atol=1e-15)
    found = fgsm(net, images, labels, radius=0.1, norm="l2", preprocessing=None)
    unit = away / np.linalg.norm(away.reshape(6, -1), axis=1).reshape(6, 1, 1, 1)
    np.testing.assert_allclose(found.perturbations, 0.1 * unit, atol=1e-14)


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2)])
def test_a_linear_classifier_falls_just_beyond_its_margin(norm, dual):
    net, images = linear_net(), some_images(20, shape=(1, 4, 4), low=0.45, high=0.55)
    with torch.no_grad():
        logits = net(torch.from_numpy(images)).numpy()
    labels = logits.argmax(axis=1)
    weights = net.weights.detach().numpy()
    margins = np.abs(logits[:, 0] - logits[:, 1]) / np.linalg.norm(weights[0] - weights[1], ord=dual)
    reachable = margins < 0.4  # beyond, the border of the cube gets in the way
    assert reachable.sum() >= 5
    for k in np.flatnonzero(reachable):
        one = {"images": images[k : k + 1], "labels": labels[k : k + 1], "norm": norm, "preprocessing": None}
        # what a random start has sideways shrinks with each step; after sixty far less than 1 % of the radius is left
        for attack, more in ((fgsm, {}), (i_fgsm, {}), (pgd, {"steps": 60, "step_size": 0.1 * margins[k]})):
            assert not attack(net, radius=0.99 * margins[k], **one, **more).success[0]
            assert attack(net, radius=1.01 * margins[k], **one, **more).success[0]


def test_the_perturbation_reaches_its_radius_where_pixels_leave_room():
    net, images, labels = small_net(), some_images(low=0.3, high=0.7), some_labels()
    for norm in ("linf", "l2"):
        found = fgsm(net, images, labels, radius=0.1, norm=norm)
        np.testing.assert_allclose(found.norms, 0.1, rtol=1e-13)


def test_a_target_is_approached_down_its_loss():
    net, images, labels = small_net(), some_images(), some_labels()
    targets = (labels + 1) % 4
    found = pgd(net, images, labels, radius=0.3, targets=targets)
    assert (found.loss < found.clean_loss).all()
    np.testing.assert_array_equal(found.success, found.predictions == targets)
    assert found.success.mean() > 0.5  # it is a wide ball, and a net without training
    np.testing.assert_array_equal(found.clean_correct, found.clean_predictions == labels)


def test_the_loss_rises_to_first_order_by_the_dual_norm_of_its_gradient():
    net, images, labels = small_net(), some_images(low=0.3, high=0.7), some_labels()
    x = torch.from_numpy(images).requires_grad_(True)
    loss = nn.functional.cross_entropy(net.on_pixels(x), torch.from_numpy(labels), reduction="none")
    (gradient,) = torch.autograd.grad(loss.sum(), x)
    for norm, dual in (("linf", 1), ("l2", 2)):
        slopes = np.linalg.norm(gradient.numpy().reshape(6, -1), ord=dual, axis=1)
        found = fgsm(net, images, labels, radius=1e-7, norm=norm)
        # what is left is of second order, and the corners of ReLU are rarely met within 1e-7
        np.testing.assert_allclose((found.loss - found.clean_loss) / 1e-7, slopes, rtol=1e-4)


# --- foolbox -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def foolbox():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # scipy.ndimage.filters
        return pytest.importorskip("foolbox")


def wrapped(foolbox, net):
    return foolbox.PyTorchModel(net, bounds=(0, 1), preprocessing={"mean": MEAN, "std": STD, "axis": -3})


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("method", ["FGSM", "I-FGSM", "PGD"])
def test_foolbox_gives_the_same_images(foolbox, norm, method):
    net, images, labels = small_net(), some_images(), some_labels()
    radius = 0.03 if norm == "linf" else 0.5
    prefix, attacks = {"linf": "Linf", "l2": "L2"}[norm], foolbox.attacks
    if method == "FGSM":
        ours = fgsm(net, images, labels, radius=radius, norm=norm)
        theirs = getattr(attacks, f"{prefix}FastGradientAttack")(random_start=False)
    elif method == "I-FGSM":
        ours = i_fgsm(net, images, labels, radius=radius, norm=norm, steps=7)
        theirs = getattr(attacks, f"{prefix}BasicIterativeAttack")(rel_stepsize=1 / 7, steps=7, random_start=False)
    else:
        ours = pgd(net, images, labels, radius=radius, norm=norm, steps=8, start="centre")
        name = f"{prefix}ProjectedGradientDescentAttack"
        theirs = getattr(attacks, name)(abs_stepsize=2.5 * radius / 8, steps=8, random_start=False)
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    expected = theirs.run(wrapped(foolbox, net), x, foolbox.criteria.Misclassification(y), epsilon=radius)
    # double precision: rounding differs, and signs of gradients are not so near to zero that it could turn them
    np.testing.assert_allclose(ours.images, expected.numpy(), atol=1e-12)


def test_foolbox_gives_the_same_images_for_a_target(foolbox):
    net, images, labels = small_net(), some_images(), some_labels()
    targets = (labels + 1) % 4
    ours = pgd(net, images, labels, radius=0.03, steps=8, step_size=0.01, start="centre", targets=targets)
    theirs = foolbox.attacks.LinfProjectedGradientDescentAttack(abs_stepsize=0.01, steps=8, random_start=False)
    criterion = foolbox.criteria.TargetedMisclassification(torch.from_numpy(targets))
    expected = theirs.run(wrapped(foolbox, net), torch.from_numpy(images), criterion, epsilon=0.03)
    np.testing.assert_allclose(ours.images, expected.numpy(), atol=1e-12)


def test_deepfool_finds_the_margin_of_a_linear_classifier(foolbox):
    net, images = linear_net(3), some_images(12, shape=(1, 4, 4), low=0.4, high=0.6)
    with torch.no_grad():
        logits = net(torch.from_numpy(images)).numpy()
    labels, weights = logits.argmax(axis=1), net.weights.detach().numpy()
    for norm, dual in (("l2", 2), ("linf", 1)):
        slopes = np.linalg.norm(weights[labels][:, None] - weights, ord=dual, axis=2)
        with np.errstate(invalid="ignore"):  # 0 / 0 at the class itself
            margins = np.nanmin((logits.max(axis=1)[:, None] - logits) / slopes, axis=1)
        found = deepfool(net, images, labels, norm=norm, preprocessing=None)
        inside = margins < 0.3
        assert inside.sum() >= 4
        assert found.success[inside].all()
        # the overshoot is 2 %, and foolbox goes 1e-4 further
        np.testing.assert_allclose(found.norms[inside], 1.02 * (margins[inside] + 1e-4), rtol=1e-6)


def test_deepfool_leaves_the_gradients_of_parameters_alone(foolbox):
    net, images = small_net(), some_images()
    labels = fgsm(net, images, some_labels(), radius=0).clean_predictions
    assert (deepfool(net, images, labels, steps=5).norms > 0).all()
    assert all(parameter.grad is None for parameter in net.parameters())


def test_without_foolbox_deepfool_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "foolbox", None)
    with pytest.raises(ModuleNotFoundError, match="pip install foolbox"):
        deepfool(small_net(), some_images(), some_labels())


# --- promises ----------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    norm=st.sampled_from(["linf", "l2"]),
    radius=st.floats(0, 1),
    step_size=st.floats(0, 2),
    steps=st.integers(0, 4),
    start=st.sampled_from(["random", "centre"]),
    seed=st.integers(0, 100),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_attacked_images_are_images_and_in_the_ball(norm, radius, step_size, steps, start, seed, dtype):
    net = linear_net(3, (2, 3, 3), seed=seed).to(torch.float32 if dtype == np.float32 else torch.float64)
    # black and white pixels among them
    images = some_images(3, (2, 3, 3), seed=seed, low=-0.5, high=1.5).clip(0, 1).astype(dtype)
    found = pgd(
        net, images, [0, 1, 2], radius=radius, norm=norm, steps=steps, step_size=step_size, start=start, rng=seed,
        preprocessing=None,
    )  # fmt: skip
    assert found.images.dtype == dtype
    assert found.images.min() >= 0
    assert found.images.max() <= 1
    # pixels are of order 1, and the norm adds up the rounding of 18 of them
    assert (found.norms <= radius + 18 * np.finfo(dtype).eps).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_random_starts_fill_the_ball_uniformly(norm):
    net, images = linear_net(2, (1, 2, 2)), np.full((4000, 1, 2, 2), 0.5)
    found = pgd(net, images, np.zeros(4000, int), radius=0.4, norm=norm, steps=0, preprocessing=None)
    # in d = 4 dimensions the share within half the radius is 2^-4 in either norm
    share = (found.norms < 0.2).mean()
    assert share == pytest.approx(1 / 16, abs=4 * np.sqrt(1 / 16 * 15 / 16 / 4000))  # four standard deviations
    mean = found.perturbations.mean(axis=0)
    assert np.abs(mean).max() < 5 * found.perturbations.std() / np.sqrt(4000)
    assert found.norms.max() > 0.39


def test_the_ball_of_a_start_is_not_the_ball_of_the_image():
    net, images, labels = small_net(), some_images(low=0.4, high=0.6), some_labels()
    arguments = {"radius": 0.1, "rng": 3}
    start = pgd(net, images, labels, steps=0, **arguments).images
    found = pgd(net, images, labels, ball="start", **arguments)
    assert np.abs(found.images - start).max() <= 0.1 + 1e-12
    assert 0.15 < found.norms.max() <= 0.2 + 1e-12  # up to twice the radius
    assert pgd(net, images, labels, **arguments).norms.max() <= 0.1 + 1e-12


def test_batches_change_nothing():
    net, images, labels = small_net(), some_images(7), some_labels(7)
    for norm in ("linf", "l2"):
        runs = [
            pgd(net, images, labels, radius=0.1, norm=norm, steps=3, restarts=2, rng=5, batch_size=size)
            for size in (1, 3, 7, 100)
        ]
        for run in runs[1:]:
            # convolutions of batches round differently
            np.testing.assert_allclose(run.images, runs[0].images, atol=1e-12)


def test_the_seed_decides_the_start():
    net, images, labels = small_net(), some_images(), some_labels()
    one, same, other = (pgd(net, images, labels, radius=0.1, steps=1, rng=seed).images for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.01


def test_more_restarts_are_never_worse():
    net, images, labels = small_net(), some_images(12), some_labels(12)
    arguments = {"radius": 0.02, "steps": 2, "rng": 0}
    one = pgd(net, images, labels, **arguments)
    many = pgd(net, images, labels, restarts=5, **arguments)
    assert (many.success >= one.success).all()
    same = many.success == one.success
    assert (many.loss[same] >= one.loss[same] - 1e-12).all()
    assert (many.loss[same] > one.loss[same] + 1e-6).any()


def test_the_network_is_left_as_it_was_whatever_the_caller_switched_off():
    net, images, labels = small_net(), some_images(), some_labels()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    for parameter in net.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    found = pgd(net, images, labels, radius=0.1, steps=2)
    assert torch.equal(torch.random.get_rng_state(), state)
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            tensors = torch.from_numpy(images), torch.from_numpy(labels)
            np.testing.assert_array_equal(pgd(net, *tensors, radius=0.1, steps=2).images, found.images)
    assert not net.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert all(bool((parameter.grad == 7).all()) for parameter in net.parameters())
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_a_network_is_the_same_however_its_normalisation_is_said():
    net, images, labels = small_net(), some_images(), some_labels()
    expected = pgd(net, images, labels, radius=0.1, steps=2).images
    bare = small_net()
    bare.preprocessing = None
    mean, std = (torch.tensor(values, dtype=torch.float64).view(-1, 1, 1) for values in (MEAN, STD))
    for function, arguments in [
        (bare, {"preprocessing": (MEAN, STD)}),
        (bare, {"preprocessing": {"mean": MEAN, "std": STD}}),
        (bare, {"preprocessing": Preprocessing(MEAN, STD)}),
        (net.on_pixels, {}),
        (net.forward, {}),
        (partial(net), {}),
        (partial(net.on_pixels), {}),
        (lambda pixels: bare((pixels - mean) / std), {}),
        (lambda pixels: {"logits": bare((pixels - mean) / std)}, {}),
    ]:
        found = pgd(function, images, labels, radius=0.1, steps=2, **arguments)
        np.testing.assert_allclose(found.images, expected, atol=1e-12)


def test_a_network_in_half_precision_is_attacked_in_single():
    net = small_net(dtype=torch.bfloat16)
    found = pgd(net, some_images().astype(np.float16), some_labels(), radius=0.1, norm="l2", steps=3)
    assert found.images.dtype == np.float32
    assert np.isfinite(found.images).all()
    assert (found.norms > 0.09).all()


def test_gradients_of_zero_are_said_and_move_nothing():
    images, labels = some_images(shape=(1, 4, 4)), np.zeros(6, int)
    net = Linear(torch.zeros(2, 16, dtype=torch.float64), torch.tensor([1.0, 0.0], dtype=torch.float64)).eval()
    for norm in ("linf", "l2"):
        found = pgd(net, images, labels, radius=0.1, norm=norm, start="centre", preprocessing=None)
        assert found.stalled.all()
        np.testing.assert_array_equal(found.images, images)
        assert "every gradient was zero: the attack knew no direction there" in repr(found)
    assert not pgd(small_net(), some_images(), some_labels(), radius=0.1).stalled.any()


def test_deepfool_says_where_every_gradient_was_zero(foolbox):
    rng = np.random.default_rng(0)
    images, labels = some_images(2, shape=(1, 4, 4)), np.zeros(2, int)
    images[0, 0, 0, 0], images[1, 0, 0, 0] = 0.0, 1.0
    weights = torch.from_numpy(rng.normal(size=(16, 2)))

    def half_flat(x):
        # no slope where the first pixel is black
        logits = (x.flatten(1) - 0.5) @ weights * x[:, 0, 0, :1].detach().round()
        return logits + torch.tensor([9.0, 0.0])

    assert deepfool(half_flat, images, labels, steps=3).stalled.tolist() == [True, False]


def test_labels_may_be_unsigned():
    net, images, labels = small_net(), some_images(), some_labels()
    expected = fgsm(net, images, labels, radius=0.1)
    for dtype in (np.uint8, np.uint16, np.uint64):
        np.testing.assert_array_equal(fgsm(net, images, labels.astype(dtype), radius=0.1).images, expected.images)


@pytest.mark.parametrize("first", [nn.ReLU(inplace=True), nn.Hardtanh(-0.5, 0.5, inplace=True)])
def test_a_network_that_works_in_place_leaves_the_images_alone(first):
    net = nn.Sequential(first, nn.Flatten(), nn.Linear(48, 3)).double().eval()
    images = torch.from_numpy(some_images(shape=(3, 4, 4)))
    before = images.clone()
    found = fgsm(net, images, some_labels(classes=3), radius=0.1, preprocessing=None)
    assert torch.equal(images, before)
    np.testing.assert_array_equal(found.clean, before.numpy())
    assert np.abs(found.perturbations).max() == pytest.approx(0.1)


def test_tiny_gradients_keep_their_direction():
    # the squares of these underflow in single precision
    images = some_images(shape=(1, 4, 4), low=0.3, high=0.7).astype(np.float32)
    weights = linear_net().weights.detach()
    one, other = (Linear((scale * weights).float(), torch.zeros(2)).eval() for scale in (1.0, 1e-25))
    labels = np.zeros(6, int)
    found = [fgsm(net, images, labels, radius=0.1, norm="l2", preprocessing=None) for net in (one, other)]
    np.testing.assert_allclose(found[1].perturbations, found[0].perturbations, atol=1e-6)  # single precision


# --- random perturbations ----------------------------------------------------------------------------


def test_random_perturbations_have_their_norm_where_pixels_leave_room_or_are_left():
    grey, black = some_images(low=0.4, high=0.6), np.zeros((2, 3, 8, 8))
    for norm, order in (("linf", np.inf), ("l2", 2)):
        for images, clip in ((grey, True), (black, False)):
            found = random_perturbations(images, radius=0.2, norm=norm, n=3, clip=clip)
            assert found.shape == (3, *images.shape)
            norms = np.linalg.norm(found.reshape(3, len(images), -1), ord=order, axis=2)
            np.testing.assert_allclose(norms, 0.2, rtol=1e-12)
    assert set(np.unique(np.abs(random_perturbations(black, radius=0.2, clip=False)))) == {0.2}


@settings(max_examples=30, deadline=None)
@given(radius=st.floats(0, 1), norm=st.sampled_from(["linf", "l2"]), seed=st.integers(0, 99))
def test_clipped_random_perturbations_leave_images_images(radius, norm, seed):
    images = some_images(3, (2, 3, 3), seed=seed, low=-0.5, high=1.5).clip(0, 1)
    found = random_perturbations(images, radius=radius, norm=norm, n=2, rng=seed)
    assert ((images + found >= 0) & (images + found <= 1 + 1e-15)).all()
    norms = np.linalg.norm(found.reshape(2, 3, -1), ord={"linf": np.inf, "l2": 2}[norm], axis=2)
    assert (norms <= radius + 1e-15).all()  # a sum and a difference of numbers up to 1


def test_random_directions_have_mean_zero_and_no_correlations():
    images = np.full((3000, 1, 2, 2), 0.5)
    for norm, variance in (("linf", 0.01), ("l2", 0.01 / 4)):
        found = random_perturbations(images, radius=0.1, norm=norm)[0].reshape(3000, 4)
        # five standard errors; the fourth moment of either is at most three times the squared variance
        error = 5 / np.sqrt(3000)
        assert np.abs(found.mean(axis=0)).max() < error * np.sqrt(variance)
        np.testing.assert_allclose(found.T @ found / 3000, variance * np.eye(4), atol=error * variance * np.sqrt(2))


def test_parts_with_one_generator_get_what_the_whole_gets():
    images = some_images(5)
    for norm in ("linf", "l2"):
        whole = random_perturbations(images, radius=0.1, norm=norm, n=2, rng=4)
        rng = np.random.default_rng(4)
        parts = [random_perturbations(part, radius=0.1, norm=norm, n=2, rng=rng) for part in (images[:2], images[2:])]
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


# --- the result --------------------------------------------------------------------------------------


def test_an_attack_says_itself_and_comes_back_from_a_file(tmp_path):
    net, images = small_net(), some_images(8)
    labels = fgsm(net, images, some_labels(8), radius=0).clean_predictions
    targets = (labels + 1) % 4
    for given_targets in (None, targets):
        found = pgd(net, images, labels, radius=8 / 255, targets=given_targets)
        found.save(tmp_path / "attack.npz")
        again = Attack.load(tmp_path / "attack.npz")
        assert repr(again) == repr(found)
        for name in ("clean", "images", "labels", "predictions", "clean_loss", "loss", "stalled"):
            np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
        assert (again.targets is None) == (given_targets is None)
        data = found.to_dataset()
        np.testing.assert_array_equal(data["success"], found.success)
        assert data["images"].sizes == {"batch": 8, "unit_0": 3, "unit_1": 8, "unit_2": 8}
        assert data.attrs["radius"] == pytest.approx(8 / 255)
    text = repr(pgd(net, images, labels, radius=8 / 255))
    assert "PGD (linf, radius 0.03137 (8/255)) on 8 images: accuracy 100.0% before" in text
    assert "<td>before</td><td>100.0%</td>" in found._repr_html_()


def test_inputs_are_what_the_network_sees():
    net, images, labels = small_net(), some_images(), some_labels()
    found = fgsm(net, images, labels, radius=0.1)
    x, perturbations = found.inputs(net)
    logits = net(torch.from_numpy(x + perturbations))
    np.testing.assert_array_equal(logits.argmax(dim=1), found.predictions)
    np.testing.assert_allclose(perturbations, found.perturbations / np.reshape(STD, (3, 1, 1)), atol=1e-14)
    np.testing.assert_allclose(x, (images - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1)), atol=1e-14)
    np.testing.assert_array_equal(found.inputs(net, preprocessing=None)[1], found.perturbations)


def test_perturbations_are_followed_through_the_units():
    net, images, labels = small_net(), some_images(), some_labels()
    found = pgd(net, images, labels, radius=0.05)
    unrolled = unroll(net, images[:1])
    x, perturbations = found.inputs(net)
    run = resdyn.propagate(unrolled, x, perturbations, keep=True)
    true, _ = run.at(len(run.names) - 1)
    np.testing.assert_array_equal(
        unrolled.head(unrolled.trace(x).states[-1] + true[0]).argmax(axis=1), found.predictions
    )
    # and the unrolled network, which takes inputs, can be attacked itself
    again = pgd(unrolled, images, labels, radius=0.05)
    np.testing.assert_allclose(again.images, found.images, atol=1e-12)
    np.testing.assert_array_equal(found.inputs(unrolled)[1], perturbations)
    unrolled.preprocessing = None
    with pytest.raises(ValueError, match="does not know how its inputs were normalised"):
        pgd(unrolled, images, labels, radius=0.05)


def test_norms_in_the_other_norm():
    found = fgsm(linear_net(), some_images(2, (1, 4, 4), low=0.3, high=0.7), [0, 1], radius=0.1, preprocessing=None)
    np.testing.assert_allclose(found.norms_in("l2"), 0.1 * 4, rtol=1e-12)  # 16 pixels


def test_progress_counts_images(capsys):
    found = i_fgsm(small_net(), some_images(), some_labels(), radius=0.1, steps=1, batch_size=4, progress=True)
    assert len(found.images) == 6
    assert "6/6" in capsys.readouterr().err


# --- bad input ---------------------------------------------------------------------------------------


def the_call(**changes):
    arguments = {"net": small_net(), "images": some_images(), "labels": some_labels(), "radius": 0.1, "steps": 1}
    return pgd(**(arguments | changes))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"images": 255 * some_images()}, ValueError, r"run from .* to 25.*divide bytes by 255"),
        ({"images": some_images(low=-2, high=2)}, ValueError, "belongs into preprocessing"),
        ({"images": (255 * some_images()).astype(np.uint8)}, TypeError, r"uint8.*ImageSet.pixels"),
        ({"images": some_images()[0]}, ValueError, r"shape \(3, 8, 8\).*image\[None\]"),
        ({"images": some_images()[:0], "labels": []}, ValueError, "at least one image"),
        ({"images": np.full((6, 3, 8, 8), np.nan)}, ValueError, "NaN"),
        ({"images": np.moveaxis(some_images(), 1, 3)}, ValueError, r"\(n, 3, H, W\)"),
        ({"images": "cat"}, TypeError, "tensor or an array.*a str"),
        ({"labels": None}, TypeError, "class of each image"),
        ({"labels": np.eye(4)[some_labels()]}, ValueError, r"one-hot.*argmax"),
        ({"labels": some_labels(5)}, ValueError, r"shape \(5,\).*6 images"),
        ({"labels": np.full(6, 4)}, ValueError, "hold 4, but the network has 4 classes"),
        ({"labels": np.full(6, -1)}, ValueError, "numbered from 0"),
        ({"labels": some_labels().astype(float)}, TypeError, "integers"),
        ({"targets": np.full(6, 9)}, ValueError, "targets hold 9"),
        ({"radius": -0.1}, ValueError, "radius must be"),
        ({"radius": "big"}, TypeError, "radius must be a number"),
        ({"radius": 8}, ValueError, "8/255, not 8"),
        ({"radius": 20, "norm": "l2"}, ValueError, "at most 13.8564 apart"),
        ({"norm": "l1"}, ValueError, "'linf'.*'l2'"),
        ({"norm": [2]}, ValueError, "'linf'.*'l2'"),
        ({"steps": -1}, ValueError, "steps must be at least 0"),
        ({"step_size": -1.0}, ValueError, "step_size"),
        ({"start": "center"}, ValueError, "'random' or 'centre'"),
        ({"start": "centre", "ball": "start"}, ValueError, "around the random start"),
        ({"start": "centre", "restarts": 2}, ValueError, "begins always at the image"),
        ({"restarts": 0}, ValueError, "restarts must be at least 1"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"rng": "seed"}, TypeError, "rng must be"),
        ({"net": 3}, TypeError, "net must be a network"),
        ({"net": linear_net(4, (3, 8, 8))}, ValueError, r"preprocessing=\(mean, std\).*preprocessing=None"),
        ({"preprocessing": "cifar"}, ValueError, "preprocessing is 'cifar'"),
        ({"preprocessing": (MEAN, (0, 0, 0))}, ValueError, "positive numbers"),
        ({"net": lambda x: x}, ValueError, r"shape \(6, 3, 8, 8\).*logits"),
        ({"net": lambda x: 1.0}, ValueError, "a float for 6 images"),
        ({"net": lambda x: x.flatten(1)[:, :4] / 0}, ValueError, "NaN or infinite logits"),
        ({"net": lambda x: x.flatten(1)[:, :1], "labels": np.zeros(6, int)}, ValueError, "one logit per class"),
        ({"net": lambda x: x.detach().flatten(1)[:, :4]}, ValueError, "must not detach"),
        ({"net": lambda x: torch.zeros(6, 4, requires_grad=True).clone()}, ValueError, "do not depend on the pixels"),
        ({"labels": np.full(6, 2**63, np.uint64)}, ValueError, "numbered from 0"),
    ],
)
def test_bad_input_says_what_to_do(changes, error, message):
    with pytest.raises(error, match=f"(?s){message}"):
        the_call(**changes)


def test_a_network_in_train_mode_is_refused_also_behind_a_method():
    net = small_net()
    net.stages[1].train()
    for function in (net, net.on_pixels):
        with pytest.raises(ValueError, match=r"train mode.*'stages.1'.*net.eval\(\)"):
            the_call(net=function)
    with pytest.raises(ValueError, match="without running statistics"):
        the_call(net=nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)).eval(), preprocessing=None)


def test_random_perturbations_refuse_what_is_no_image():
    for images, radius, message in [
        (2 * some_images(), 0.1, "run from"),
        (some_images(), -1, "radius"),
        (some_images(), 2, "8/255"),
        (some_images()[0], 0.1, "n, C, H, W"),
    ]:
        with pytest.raises(ValueError, match=message):
            random_perturbations(images, radius=radius)
