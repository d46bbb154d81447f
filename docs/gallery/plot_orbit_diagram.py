"""
Orbit diagrams: where orbits end as a parameter changes
=======================================================

A unit whose gain grows settles on a point, then on cycles, then on none. A network whose input rises and falls may not
come back the way it went.
"""

import matplotlib.pyplot as plt
import numpy as np

import resdyn

# %%
# The textbook case first. After two thousand layers of the logistic map a hundred are drawn for each r. One point means
# a fixed point, two a 2-cycle; the result says where each period was seen.

diagram = resdyn.orbit_diagram(
    lambda r: resdyn.systems.logistic_map(r=r), np.linspace(2.8, 4.0, 1201), [0.3], depth=100, transient=2000
)
print(diagram)

# %%
# The dashed line is where the window of period 3 opens, at 1 + √8.

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
resdyn.plotting.orbit_diagram(diagram, parameter="r", ax=ax)
ax.axvline(1 + np.sqrt(8), color="0.5", linewidth=0.8, linestyle="--")
ax.text(1 + np.sqrt(8), 0.02, " period 3", fontsize="small", color="0.3")

# %%
# Now a residual network of two units that excite each other, x' = x + h(−x + tanh(Wx + b)), as the bias b of both
# rises and falls again. Each value begins where the last one ended. Between the two folds there are two attractors, and
# which one the network is on depends on where it came from: hysteresis.

weights = np.array([[0.5, 1.2], [1.2, 0.5]])


def network(bias):
    """The pair with this bias."""
    return resdyn.ResidualMap(weights, [bias, bias], activation="tanh", damping=1.0, step=0.5)


biases = np.linspace(-0.6, 0.6, 241)
start = [-0.9, -0.9]
up = resdyn.orbit_diagram(network, biases, start, depth=4, transient=500, unit=0, follow="up")
down = resdyn.orbit_diagram(network, biases, [0.9, 0.9], depth=4, transient=500, unit=0, follow="down")
print(up)

# %%
# On the line where both units are alike, x = tanh(sx + b) with s = 1.7, the folds are where the slope of the right-hand
# side is 1: sech² = 1/s, so that x = ±√(1 − 1/s).

edge = np.sqrt(1 - 1 / 1.7)
fold = 1.7 * edge - np.arctanh(edge)

figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for found, colour, label, width in ((up, 3, "b rising", 3.0), (down, 0, "b falling", 1.2)):
    ax.plot(found.values, found.x[:, -1], ".-", color=resdyn.plotting.COLOURS[colour], markersize=width, label=label)
for b in (-fold, fold):
    ax.axvline(b, color="0.6", linewidth=0.8, linestyle="--")
ax.set_xlabel("bias b")
ax.set_ylabel("$x_0$")
ax.legend(frameon=False)
plt.show()
