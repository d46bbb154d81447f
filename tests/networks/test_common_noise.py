"""The noise of CIFAR-10-C: moments in closed form, the constants, bytes and pixels, and accuracies under it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from resdyn.networks.robustness import CORRUPTIONS, NoiseAccuracy, corrupt, noise_accuracy

# as published with CIFAR-10-C, and so a second time here
CONSTANTS = {
    "gaussian_noise": [0.04, 0.06, 0.08, 0.09, 0.1],
    "shot_noise": [500, 250, 100, 75, 50],
    "impulse_noise": [0.01, 0.02, 0.03, 0.05, 0.07],
    "speckle_noise": [0.06, 0.1, 0.12, 0.16, 0.2],
}
KINDS = list(CONSTANTS)
N = 200_000


def flat(level, n=N):
    return np.full((n, 1, 1, 1), level)


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    ("kind", "level", "variance"),
    [
        ("gaussian_noise", 0.5, lambda c: c**2),
        ("shot_noise", 0.4, lambda c: 0.4 / c),
        ("speckle_noise", 0.5, lambda c: (0.5 * c) ** 2),
    ],
)
def test_mean_and_variance_far_from_black_and_white(kind, level, variance, severity):
    expected = variance(CONSTANTS[kind][severity - 1])
    noisy = corrupt(flat(level), kind, severity, quantise=False)
    # five standard errors; nothing is clipped, except beyond five deviations of the strongest noise
    assert noisy.mean() == pytest.approx(level, abs=5 * np.sqrt(expected / N))
    assert noisy.var() == pytest.approx(expected, rel=5 * np.sqrt(2.5 / N))


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_impulses_are_black_and_white_in_equal_numbers(severity):
    c = CONSTANTS["impulse_noise"][severity - 1]
    noisy = corrupt(flat(0.5), "impulse_noise", severity, quantise=False)
    for value, share in ((0.0, c / 2), (1.0, c / 2), (0.5, 1 - c)):
        assert (noisy == value).mean() == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / N))


def test_shot_noise_comes_in_multiples_of_one_photon():
    noisy = corrupt(flat(0.3, 1000), "shot_noise", 5, quantise=False) * 50
    np.testing.assert_allclose(noisy, np.rint(noisy), atol=1e-12)
    assert (corrupt(flat(0.0, 100), "shot_noise", 5) == 0).all()  # no light, no noise


@pytest.mark.parametrize("kind", KINDS)
def test_a_higher_severity_moves_images_further(kind):
    images = np.random.default_rng(0).uniform(size=(50, 3, 8, 8))
    distances = [np.sqrt(np.mean((corrupt(images, kind, s) - images) ** 2)) for s in range(1, 6)]
    assert (np.diff(distances) > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_cutting_to_bytes_rounds_down(kind):
    images = np.random.default_rng(0).uniform(size=(20, 3, 8, 8))
    smooth, cut = (corrupt(images, kind, 3, quantise=flag) for flag in (False, True))
    lost = 255 * (smooth - cut)
    # a pixel that is a byte but for rounding is taken as that byte, hence below zero by rounding
    assert lost.min() > -1e-9
    assert lost.max() < 1
    np.testing.assert_allclose(255 * cut, np.rint(255 * cut), atol=1e-10)


def test_noise_of_mean_zero_darkens_bytes_by_half_a_step():
    noisy = corrupt(np.full((N, 1, 1, 1), 128, np.uint8), "gaussian_noise", 5)
    # the deviation of 25 bytes spreads what is cut off evenly over a step
    assert noisy.mean() == pytest.approx(127.5, abs=5 * 25.5 / np.sqrt(N))


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_and_pixels_are_the_same_images(kind):
    images = np.random.default_rng(0).integers(256, size=(7, 3, 8, 8), dtype=np.uint8)
    expected = corrupt(images, kind, 2, rng=3)
    assert expected.dtype == np.uint8
    for dtype in (np.float16, np.float32, np.float64):
        pixels = np.true_divide(images, 255, dtype=dtype)
        found = corrupt(pixels, kind, 2, rng=3)
        assert found.dtype == dtype
        np.testing.assert_array_equal(np.rint(255 * found.astype(float)), expected)
    tensor = corrupt(torch.from_numpy(images), kind, 2, rng=3)
    assert tensor.dtype == torch.uint8
    np.testing.assert_array_equal(tensor.numpy(), expected)


def test_pixels_that_impulses_spare_stay_as_they_are():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    for pixels in (levels / 255, (levels / 255).astype(np.float32), levels * np.float32(1 / 255)):
        noisy = corrupt(pixels, "impulse_noise", 1)
        spared = (noisy > 0) & (noisy < 1)
        assert spared.sum() > 240
        np.testing.assert_array_equal(np.rint(255 * noisy)[spared], levels[spared])


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(KINDS), severity=st.integers(1, 5), seed=st.integers(0, 9), split=st.integers(0, 6)
)  # fmt: skip
def test_parts_with_one_generator_get_what_the_whole_gets(kind, severity, seed, split):
    images = np.random.default_rng(1).uniform(size=(6, 3, 4, 5))
    whole = corrupt(images, kind, severity, rng=seed)
    assert whole.shape == images.shape
    assert whole.min() >= 0
    assert whole.max() <= 1
    rng = np.random.default_rng(seed)
    parts = [corrupt(part, kind, severity, rng=rng) for part in (images[:split], images[split:])]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_large_set_is_corrupted_in_parts_and_left_alone():
    images = np.random.default_rng(0).integers(256, size=(1500, 3, 32, 32), dtype=np.uint8)  # more than one part
    before = images.copy()
    whole = corrupt(images, "impulse_noise", 1)
    rng = np.random.default_rng(0)
    parts = [corrupt(images[k : k + 500], "impulse_noise", 1, rng=rng) for k in (0, 500, 1000)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.zeros((2, 3, 4, 4)), "fog", 1), ValueError, "'gaussian_noise' or 'shot_noise'"),
        ((np.zeros((2, 3, 4, 4)), "shot_noise", 6), ValueError, "severity is 6.*from 1 to 5"),
        ((np.zeros((2, 3, 4, 4)), "shot_noise", 0), ValueError, "severity must be at least 1"),
        ((np.zeros((2, 3, 4, 4)), "shot_noise", 1.0), TypeError, "severity must be an integer"),
        ((torch.zeros(2, 3, 4, 4, dtype=torch.bfloat16), "shot_noise", 1), TypeError, r"images.float\(\)"),
        ((np.zeros((2, 3, 4, 4), int), "shot_noise", 1), TypeError, "int64.*uint8"),
        ((np.full((2, 3, 4, 4), 255.0), "shot_noise", 1), ValueError, "divide bytes by 255"),
        ((np.full((2, 3, 4, 4), -1.0), "shot_noise", 1), ValueError, "run from -1"),
        ((np.full((2, 3, 4, 4), np.nan), "shot_noise", 1), ValueError, "NaN"),
    ],
)
def test_bad_input_says_what_to_do(arguments, error, message):
    with pytest.raises(error, match=message):
        corrupt(*arguments)


def test_bytes_cannot_be_left_unquantised():
    with pytest.raises(ValueError, match="divide them by 255"):
        corrupt(np.zeros((1, 1, 2, 2), np.uint8), "shot_noise", 1, quantise=False)


def test_the_constants_cannot_be_changed_by_accident():
    with pytest.raises(TypeError):
        CORRUPTIONS["gaussian_noise"] = (1.0,)


# --- accuracy under noise ----------------------------------------------------------------------------


class Brightness(nn.Module):
    """Two classes: the mean of the inputs is below zero, or above."""

    def forward(self, x):
        mean = x.flatten(1).mean(dim=1)
        return torch.stack([-mean, mean], dim=1)


def noisy_set(n=400):
    """Images about as bright as dark, and what the network sees in them."""
    images = np.random.default_rng(0).uniform(0.3, 0.7, size=(n, 1, 4, 4))
    return images, (images.mean(axis=(1, 2, 3)) > 0.5).astype(int)


NET = Brightness().eval()


def test_the_accuracy_is_the_share_of_noisy_images_that_are_right():
    images, labels = noisy_set()
    found = noise_accuracy(NET, images, labels, preprocessing=((0.5,), (1.0,)), batch_size=64)
    assert found.clean_accuracy == 1
    assert found.accuracy.shape == (4, 5)
    rng = np.random.default_rng(0).spawn(20)[5]  # the second kind at severity 1
    noisy = corrupt(images, "shot_noise", 1, rng=rng)
    expected = np.mean((noisy.mean(axis=(1, 2, 3)) > 0.5) == labels)
    # the mean of 16 bytes is above or below a half by 1/32 of a byte at least, or single precision decides a tie
    assert found.accuracy[1, 0] == pytest.approx(expected, abs=1 / 400)
    assert 0.5 < found.accuracy.min() < found.accuracy.max() < 1
    assert found.pooled == pytest.approx(found.accuracy.mean())
    some = noise_accuracy(
        NET, images, labels, kinds=["speckle_noise"], severities=[2, 5], preprocessing=((0.5,), (1.0,))
    )  # fmt: skip
    np.testing.assert_array_equal(some.accuracy[0], found.accuracy[3, [1, 4]])


def test_which_images_are_right_is_told_one_by_one():
    images, labels = noisy_set()
    found = noise_accuracy(NET, images, labels, preprocessing=((0.5,), (1.0,)), batch_size=33)
    np.testing.assert_array_equal(found.correct.mean(axis=2), found.accuracy)
    assert found.clean_correct.mean() == found.clean_accuracy
    # an image by itself is wrong where it is wrong in the set: the noise is drawn image by image
    first = noise_accuracy(NET, images[:20], labels[:20], preprocessing=((0.5,), (1.0,)))
    np.testing.assert_array_equal(first.correct, found.correct[..., :20])
    assert not found.correct.all()


def test_the_images_own_mean_takes_a_change_of_brightness_away():
    # noise that is cut to bytes darkens; as dark as this, half of the images change class, but not by their own mean
    images, labels = noisy_set()
    darker, arguments = (
        0.9 * images,
        {"kinds": ["gaussian_noise"], "severities": [1], "preprocessing": ((0.5,), (1.0,))},
    )
    network = noise_accuracy(NET, darker, labels, **arguments)
    own = noise_accuracy(NET, darker, labels, standardise="images", **arguments)
    assert network.pooled < 0.75
    assert own.pooled > 0.85
    assert own.clean_accuracy == network.clean_accuracy < 0.75
    assert "standardised by their own mean" in repr(own)


def test_the_table_comes_back_from_a_file_and_says_itself(tmp_path):
    images, labels = noisy_set(50)
    found = noise_accuracy(NET, images, labels, preprocessing=((0.5,), (1.0,)))
    found.save(tmp_path / "noise.npz")
    again = NoiseAccuracy.load(tmp_path / "noise.npz")
    assert repr(again) == repr(found)
    assert repr(found).startswith("Accuracy on 50 images: 100.0% clean, ")
    np.testing.assert_array_equal(again.correct, found.correct)
    data = again.to_dataset()
    assert int(data["correct"].sel(kind="shot_noise", severity=3).sum()) == found.correct[1, 2].sum() < 50
    assert float(data["accuracy"].sel(kind="shot_noise", severity=3)) == found.accuracy[1, 2]
    assert found._repr_html_().count("<tr>") == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kinds": ["fog"]}, "kind must be"),
        ({"severities": [7]}, "severity is 7"),
        ({"kinds": []}, "empty"),
        ({"standardise": "both"}, "'network' or 'images'"),
        ({"standardise": "images", "preprocessing": None}, "this one takes pixels"),
        ({"labels": np.zeros(3, int)}, "50 images"),
        ({"labels": np.full(50, 99)}, "hold 99, but the network has"),
    ],
)
def test_bad_tables_say_what_to_do(changes, message):
    images, labels = noisy_set(50)
    arguments = {"labels": labels, "preprocessing": ((0.5,), (1.0,))} | changes
    with pytest.raises(ValueError, match=message):
        noise_accuracy(NET, images, **arguments)
