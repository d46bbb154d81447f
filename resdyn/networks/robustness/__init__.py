"""Attacks, random perturbations and common noise: images in pixel units, from 0 to 1."""

from resdyn.networks.robustness.common_noise import CORRUPTIONS, corrupt
from resdyn.networks.robustness.gradient_steps import fgsm, i_fgsm, pgd
from resdyn.networks.robustness.noise_tables import NoiseAccuracy, noise_accuracy
from resdyn.networks.robustness.outcomes import Attack
from resdyn.networks.robustness.random_directions import random_perturbations
from resdyn.networks.robustness.smallest import deepfool

__all__ = [
    "CORRUPTIONS",
    "Attack",
    "NoiseAccuracy",
    "corrupt",
    "deepfool",
    "fgsm",
    "i_fgsm",
    "noise_accuracy",
    "pgd",
    "random_perturbations",
]
