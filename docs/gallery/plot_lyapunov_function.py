"""
A Lyapunov function, and the step that breaks it
================================================

The weights of this network are symmetric, so its flow has a Lyapunov function and settles on points. The network itself
takes steps of length h, and up to a step that can be computed the same function decreases along its layers, too.
"""

import matplotlib.pyplot as plt
import numpy as np

import resdyn

# %%
# Two units that inhibit themselves and each other. The network :math:`x' = (1 - h)x + h\tanh(Wx + b)` with symmetric W
# has the energy of Hopfield; ``conditions`` says for which steps it decreases along the map.

weights = np.array([[-2.0, -1.5], [-1.5, -2.0]])
network = resdyn.ResidualMap.hopfield(weights, [0.5, -0.2], activation="tanh", step=0.4)
certificate = resdyn.lyapunov_function(network, dynamics="map", form="Hopfield energy")
print(certificate)
for condition in certificate.conditions:
    print(f"{condition.text}: margin {condition.margin:.3g}")

# %%
# The smallest eigenvalue of W is −3.5, and the condition :math:`W + \tfrac{2 - h}{h}I \succeq 0` holds up to
# :math:`h = 4/9`. With a step of 1 there is no certificate, and there cannot be one.

long_step = network.replace(step=1.0)
refused = resdyn.lyapunov_function(long_step, dynamics="map", form="Hopfield energy")
print(refused)

# %%
# On the left the energy falls along all orbits. On the right the same function is evaluated along the layers of the
# network with the long step, where it is no Lyapunov function: every orbit ends on a cycle of two layers.

start = np.random.default_rng(0).uniform(-1, 1, size=(25, 2))
figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained", sharey=True)
for ax, system in zip(axes, (network, long_step), strict=True):
    run = resdyn.simulate(system, start, depth=round(10 / system.step))
    resdyn.plotting.lyapunov_function(certificate, run, ax=ax)
    ax.set_title(f"step h = {system.step:g}")
axes[1].set_ylabel("")
plt.show()

# %%
# The level sets of the energy, and orbits of the flow crossing them downhill.

flow = resdyn.lyapunov_function(network, form="Hopfield energy")
run = resdyn.simulate(network.replace(step=0.05), start, depth=200, method="RK45")
figure, ax = plt.subplots(figsize=(4, 4), layout="constrained")
resdyn.plotting.lyapunov_function(flow, run, extent=(-1, 1, -1, 1), ax=ax)
plt.show()
