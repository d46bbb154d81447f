"""
Chaos in a random network, seen by its exponents
================================================

A random tanh network with strong weights may never come to rest. Its Lyapunov exponents say whether neighbours
separate; over the few layers of a real network, how fast they do depends on where it starts.
"""

import matplotlib.pyplot as plt
import numpy as np

import resdyn

# %%
# Forty-eight leaky units, each of which replaces a tenth of its state per block, with random weights of spectral radius
# four. The largest exponent settles at a positive value, and its band leaves 0 behind: the network is chaotic, and no
# perturbation of its state is ever forgotten. The second stays at 0: blocks change the state little, so the network is
# close to its flow, and two states on one orbit of a flow stay at the same distance in the mean.

weights = resdyn.systems.random_weights(48, scale=4.0, rng=1)
network = resdyn.ResidualMap.leaky_rnn(weights, leak=0.1)
start = np.random.default_rng(0).normal(size=48)
spectrum = resdyn.lyapunov_spectrum(network, start, depth=100_000, transient=5_000, n_exponents=4)
print(spectrum)

figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
resdyn.plotting.lyapunov_spectrum(spectrum, ax=ax)
ax.set_ylim(-0.03, 0.02)

# %%
# A network has finitely many layers. Over fifty of them the most sensitive direction grows much faster than the limit
# says, at rates that differ from state to state: the limit follows one direction for ever, while the singular vector is
# chosen for these fifty layers and this state.

trajectory = resdyn.simulate(network, start, depth=40_000, transient=5_000, save=100)
finite = resdyn.finite_time_exponents(network, trajectory.x, depth=50)
print(finite)

figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
resdyn.plotting.finite_time_exponents(finite, bins=25, ax=ax)
ax.axvline(spectrum.exponents[0], color="black", label=f"limit {spectrum.exponents[0]:.2g}")
ax.legend(frameon=False)
plt.show()
