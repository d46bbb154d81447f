"""
A trained ResNet under every analysis
=====================================

A ResNet-20 that was trained on the 8×8 digits of scikit-learn ships with resdyn. Its stages are systems, so what works
on three logistic units works on it: here are six analyses, each in a line or two.
"""

import matplotlib.pyplot as plt
import numpy as np

import resdyn

# %%
# The checkpoint knows how it was made and how its inputs were normalised. ``unroll`` takes the network apart; double
# precision is for the derivatives.

net = resdyn.networks.load("resnet20-digits-seed0")
images = resdyn.data.digit_images("test")
inputs = net.preprocessing(images.pixels())
network = resdyn.networks.unroll(net, inputs[:1], dtype="float64")
print(network)
correct = network(inputs).argmax(axis=1) == images.labels
print(f"{correct.sum()} of {len(images)} test images are classified correctly.")

# %%
# **Simulate.** The second stage: an entry that halves the image, and two blocks that keep its shape. Its states, from
# all test images, are those of the network.

stage = network.stages[1]
start = stage.entry(network.stages[0](network.stem(inputs)))
trajectory = resdyn.simulate(stage, start)
print(trajectory)

# %%
# **Transients.** How well a linear classifier would separate the digits, layer by layer.

print(resdyn.transients(trajectory, images.labels))

# %%
# **Tangent map and finite-time exponents.** The Jacobian of the stage at one image, as an operator of 256 × 256. About
# half of its directions are stretched, few of them by much.

tangent = resdyn.tangent_map(trajectory.sample(0))
singular_values = np.linalg.svd(tangent.matmat(np.eye(tangent.shape[1])), compute_uv=False)
print(resdyn.finite_time_exponents(stage, start[0], n_exponents=3))

# %%
# **Lyapunov spectrum.** Over so few layers it depends on the random directions that are carried along; it says what a
# typical perturbation does, where the singular values say what the worst does.

print(resdyn.lyapunov_spectrum(stage, start[0], n_exponents=3))

# %%
# **Cooperation and competition.** The signs of the interactions among the 128 units of the last stage, sampled over
# its states at the first fifty images.

last = network.stages[2]
signs = resdyn.cooperation(last, resdyn.simulate(last, last.entry(trajectory.final[:50])))
print(signs)

# %%
# **Perturbations.** Noise on the pixels, through the stem and all units; the derivatives predict its size (dashed).

noise = 0.01 * np.random.default_rng(0).standard_normal((5, 50, *inputs.shape[1:]))
followed = resdyn.propagate(network, inputs[:50], noise)
print(followed)

figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
resdyn.plotting.unit_norms(network.trace(inputs, keep=()), ax=axes[0])
axes[0].set_title("states and residuals", fontsize="medium")
axes[1].semilogy(np.arange(1, 257), singular_values)
axes[1].axhline(1, color="0.6", linewidth=0.8)
axes[1].set_xlabel("index")
axes[1].set_ylabel("singular value")
axes[1].set_title("Jacobian of the second stage, one image", fontsize="medium")
resdyn.plotting.propagation(followed, ax=axes[2])
axes[2].set_title("noise of 0.01 on the inputs", fontsize="medium")
plt.show()
