"""The public ResNet-20 under attack and noise, on the shared test images."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

import resdyn
from resdyn.networks import load
from resdyn.networks.robustness import corrupt, fgsm, noise_accuracy, pgd, random_perturbations

torch.set_num_threads(1)

WEIGHTS = Path(os.environ.get("RESDYN_DATA") or "nowhere") / "weights" / "resnet20-12fca82f.th"
pytestmark = pytest.mark.skipif(
    not WEIGHTS.exists(), reason="RESDYN_DATA names no folder with CIFAR-10 and the public weights of ResNet-20"
)


@pytest.fixture(scope="module")
def net():
    return load(WEIGHTS, preprocessing=((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


@pytest.fixture(scope="module")
def images():
    return resdyn.data.cifar10().subset(slice(64))


def correct(net, pixels, labels):
    with torch.no_grad():
        return (net.on_pixels(pixels).argmax(dim=1).numpy() == labels).mean()


def test_a_strong_attack_leaves_nothing_and_noise_of_the_same_norm_little_less_than_before(net, images):
    pixels, labels = images.pixels(), images.labels
    attack = pgd(net, pixels, labels, radius=8 / 255, steps=7)
    assert attack.clean_accuracy > 0.85  # 91.73 % of all test images
    assert attack.accuracy < 0.05  # measured with 20 steps: none of 64
    noise = random_perturbations(pixels, radius=8 / 255)[0]
    # the attack is not the longer one in l2 either, so the direction makes the difference
    assert np.median(attack.norms_in("l2")) < np.median(np.linalg.norm(noise.reshape(64, -1), axis=1))
    assert correct(net, pixels + noise, labels) > 0.65  # measured: 80 %


def test_one_step_is_weaker_than_seven(net, images):
    one, seven = (
        attack(net, images.pixels(), images.labels, radius=2 / 255, **steps)
        for attack, steps in ((fgsm, {}), (pgd, {"steps": 7}))
    )
    assert seven.accuracy < one.accuracy < one.clean_accuracy
    assert np.median(seven.loss) > np.median(one.loss) > np.median(one.clean_loss)


def test_an_attack_of_size_one_half_is_unlike_noise_of_size_one_half(net, images):
    pixels, labels = images.pixels(), images.labels
    attack = pgd(net, pixels, labels, radius=0.5, norm="l2", steps=7)
    assert attack.accuracy < 0.1
    noise = random_perturbations(pixels, radius=0.5, norm="l2")[0]
    assert correct(net, pixels + noise, labels) > 0.85  # measured: 94 %, no less than without noise


def test_accuracy_falls_with_the_severity_of_noise(net, images):
    table = noise_accuracy(net, images.pixels(), images.labels, severities=(1, 5))
    assert (table.accuracy[:, 0] > table.accuracy[:, 1] + 0.1).all()
    assert table.clean_accuracy == correct(net, images.pixels(), images.labels)
    assert corrupt(images.images, "shot_noise", 5).dtype == np.uint8
