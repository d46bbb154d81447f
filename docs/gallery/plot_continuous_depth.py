"""
Blocks cut finer and finer become a flow
========================================

A residual block is one Euler step of a differential equation. Cut each block into n shorter ones with the same weights:
the network converges to the flow at first order in the step. Runge–Kutta methods, on the same blocks, are faster.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

import resdyn

# %%
# A dense network of five blocks with weights of their own, :math:`x' = x + h\tanh(W_k x + b_k)` with h = 1. Its flow
# follows :math:`\dot x = \tanh(W_k x + b_k)` for a time h and then takes the weights of the next block.

torch.manual_seed(1)
net = resdyn.networks.dense_resnet(6, 6, depth=5, classes=2, shared=False, activation="tanh", spread=1.5).double()
stage = net.stages[0]
start = np.random.default_rng(0).normal(size=(20, 6))
flow = resdyn.networks.ode_flow(stage, method="dopri8", rtol=1e-11, atol=1e-11)
end = flow(start)
print(f"{flow.evaluations} evaluations of the vector field for the flow, to a tolerance of 1e-11")

# %%
# One unit of one state: the network as it is, each block cut into four, and the flow. The kinks of the flow are
# where the weights change.

times = np.linspace(0, flow.horizon, 101)
smooth = resdyn.networks.ode_flow(stage, method="rk4", step=1 / 20)
figure, ax = plt.subplots(figsize=(5.2, 3.2), layout="constrained")
for n, marker in ((1, "o"), (4, ".")):
    layers = np.arange(5 * n + 1) / n
    refined = resdyn.networks.ode_flow(stage, method="euler", step=1 / n)
    label = "network" if n == 1 else f"each block cut into {n}"
    ax.plot(layers, refined.trajectory(start, layers)[:, 0, 0], marker=marker, label=label)
ax.plot(times, smooth.trajectory(start, times)[:, 0, 0], color="black", label="flow")
ax.set(xlabel="depth-time t", ylabel="state $x_0$")
ax.legend(frameon=False)
plt.show()

# %%
# The largest error at the end, against the step. Euler's method is the refined network; midpoint and rk4 evaluate the
# same blocks two and four times per step. Dashed lines have the slopes 1, 2 and 4.

steps = 1 / 2.0 ** np.arange(1, 7)
figure, ax = plt.subplots(figsize=(5.2, 3.6), layout="constrained")
for method, order in (("euler", 1), ("midpoint", 2), ("rk4", 4)):
    errors = [np.abs(resdyn.networks.ode_flow(stage, method=method, step=step)(start) - end).max() for step in steps]
    ax.loglog(steps, errors, marker="o", label=method)
    ax.loglog(steps, 2 * errors[-1] * (steps / steps[-1]) ** order, color="0.6", linestyle="--", zorder=0)
    print(f"{method}: order {np.log2(errors[-2] / errors[-1]):.2f}")
ax.set(xlabel="step", ylabel="largest error at the end")
ax.minorticks_off()
ax.set_xticks(steps, [f"1/{1 / step:g}" for step in steps])
ax.legend(frameon=False)
plt.show()
