"""
What does a residual network do to its state?
=============================================

A ResNet is taken apart into its units. At its random start a unit moves the state by more than half of its size; the
figures show which units do, and what becomes of a small change of the image on the way.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

import resdyn
from resdyn.networks import resnet, unroll

# %%
# Two networks with the same number of units, with ReLUs after the additions and before the convolutions, at the weights
# that they start from. Nothing is trained here; with trained ones, loaded by ``resdyn.networks.load``, the rest is the
# same.

images = np.random.default_rng(0).standard_normal((8, 3, 16, 16))
networks = {}
for order in ("post", "pre"):
    torch.manual_seed(0)
    model = resnet(32, order=order, widths=(4, 8, 16)).eval()
    networks[order] = unroll(model, images[:1], dtype=torch.float64, name=f"{order}-activation ResNet-32")
    print(networks[order])

# %%
# The norms of states and residuals. The shape changes twice, at the open symbols.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharey=True)
for ax, network in zip(axes, networks.values(), strict=True):
    trace = network.trace(images, keep=())
    print(trace.norms())
    resdyn.plotting.unit_norms(trace, ax=ax)
    ax.set_title(network.name, fontsize="medium")

# %%
# A small random change of the images is followed through the stem and all units: in truth, and as the derivatives
# predict it (dashed). It grows with the state, so that relative to the state it ends not more than four times larger.

noise = 1e-3 * np.random.default_rng(1).standard_normal(images.shape)
perturbed = {name: resdyn.propagate(network, images, noise) for name, network in networks.items()}
for result in perturbed.values():
    print(result)

figure, ax = plt.subplots(figsize=(5, 3.6), layout="constrained")
resdyn.plotting.propagation(perturbed, ax=ax)

# %%
# The first stage is a system like any other, with 4 · 16 · 16 variables. A random change misses its most sensitive
# directions: the largest singular values of the stage's Jacobian say how much faster a chosen one grows.

for network in networks.values():
    stage, x = network.stages[0], network.stem(images[:1])[0]
    print(resdyn.finite_time_exponents(stage, x, n_exponents=3))
plt.show()
