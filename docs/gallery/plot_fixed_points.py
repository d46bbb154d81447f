r"""
All the places where residuals can rest
=======================================

A logistic network with shared weights moves its residuals on a cube. All equilibria of that motion are listed
exactly; most of them are saddles, and the few stable ones are where the network can end.
"""

# %%
# Two units that help themselves and hinder each other
# ----------------------------------------------------
# One of them can win, or both can stay on: three stable corners. The two saddles on the edges lie on the borders
# between these outcomes. Arrows show the flow :math:`\dot y = y(1 - y)\circ(Wy)`.

import matplotlib.pyplot as plt
import numpy as np

import resdyn

W = np.array([[1.0, -0.6], [-0.7, 1.0]])
system = resdyn.logistic_residuals(W, step=0.1)
points = resdyn.fixed_points(system)
print(points)

figure, ax = plt.subplots(figsize=(5.5, 4), layout="constrained")
axis = np.linspace(0.02, 0.98, 17)
y = np.stack(np.meshgrid(axis, axis), axis=-1)
velocity = y * (1 - y) * (y @ W.T)
ax.quiver(*np.moveaxis(y, -1, 0), *np.moveaxis(velocity, -1, 0), color="0.7", width=0.004)
resdyn.plotting.fixed_points(points, ax=ax)

# %%
# A chase has a line of equilibria
# --------------------------------
# If unit 0 gains from unit 1, which suffers from unit 0, and neither acts on itself, the weights are skew. One unit
# alone then rests anywhere: these edges are continua.

chase = resdyn.fixed_points(resdyn.logistic_residuals([[0.0, 1.0], [-1.0, 0.0]]))
print(chase)
resdyn.plotting.fixed_points(chase, ax=plt.subplots(figsize=(5.5, 4), layout="constrained")[1])

# %%
# How many there are
# ------------------
# A unit more multiplies the number of equilibria by about 2.2 for Gaussian weights. Only a handful is ever stable.

rng = np.random.default_rng(0)
sizes = np.arange(2, 13)
counts = []
for n in sizes:
    found = [resdyn.fixed_points(resdyn.logistic_residuals(rng.normal(size=(n, n)))) for _ in range(5)]
    counts.append([np.mean([len(f) for f in found]), np.mean([(f.stability("flow") == 1).sum() for f in found])])

figure, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
everything, stable = np.transpose(counts)
ax.semilogy(sizes, everything, "o-", color=resdyn.plotting.COLOURS[3], fillstyle="none", label="all")
ax.semilogy(sizes, stable, "o-", color=resdyn.plotting.COLOURS[0], label="stable under the flow")
ax.set_xlabel("units N")
ax.set_ylabel("equilibria (mean of 5)")
ax.legend(frameon=False)
plt.show()
