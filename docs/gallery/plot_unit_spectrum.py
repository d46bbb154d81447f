"""
Why most singular values of a unit are equal
============================================

The Jacobian of a residual unit is a multiple of the identity plus a matrix whose rank is the number of active inner
units. The fewer of them fire, the more singular values stay exactly what the skip path makes them.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

import resdyn
from resdyn.networks import linearize, resnet

# %%
# A residual block at its random start, at one state. A bias in front of its inner ReLUs decides how many of these fire.
# Before the ReLU that follows the addition, n − 2p singular values are forced to be one, where that number is positive.

torch.manual_seed(0)
block = resnet(8).stages[0].blocks[0].eval()
x = torch.rand(16, 8, 8)


def with_bias(bias, **options):
    """The block's Jacobian with another bias of the inner ReLUs."""
    with torch.no_grad():
        block.branch[1].bias.fill_(bias)
    return linearize(block, x, **options)


spectra = {}
for bias in (0.0, -0.6, -1.2):
    J = with_bias(bias, reading="before")
    n, p = J.shape[0], J.active_inner
    print(f"bias {bias}: p = {p}, n - 2p = {n - 2 * p}, atoms {J.atoms}")
    spectra[f"p/n = {p / n:.2f}"] = J

figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
resdyn.plotting.singular_values(spectra, ax=axes[0])
axes[0].set_title("before the last ReLU", fontsize="medium")
resdyn.plotting.singular_values(
    {name: with_bias(b) for name, b in zip(spectra, (0.0, -0.6, -1.2), strict=True)}, ax=axes[1]
)
axes[1].set_title("after it", fontsize="medium")

# %%
# What the ReLU switches off has the singular value zero. The two readings of one unit are different answers, so a
# statement about such spectra has to name its reading.
#
# Stronger weights do not move the plateau, they spread the values beside it; a weaker skip path moves it.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
betas = {f"weights × {beta:g}": with_bias(-0.6, reading="before", weight_scale=beta) for beta in (0.5, 1, 2)}
resdyn.plotting.singular_values(betas, ax=axes[0])
alphas = {f"skip × {alpha:g}": with_bias(-0.6, reading="before", skip_scale=alpha) for alpha in (0.5, 1, 2)}
resdyn.plotting.singular_values(alphas, ax=axes[1])

# %%
# How many values lie above a threshold is known exactly without computing any: from the signs in a factorization of a
# banded matrix of order 2p.

J = with_bias(-0.6, reading="before")
thresholds = np.linspace(0, 4, 81)
counts = J.count_above(thresholds)
figure, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
ax.step(thresholds, counts / J.shape[0], where="post")
ax.set(xlabel=r"threshold $t$", ylabel=r"share of singular values above $t$")
print(counts[20], "above one, and", int((J.singular_values() > 1).sum()), "in the complete spectrum")
