"""
How a network loses its fixed point
===================================

Continuation follows a fixed point over a parameter, past the point at which it becomes unstable, and finds what takes
over: first in the logistic map, whose cascade of period doublings is known, then in a pair of units and in one.
"""

import matplotlib.pyplot as plt
import numpy as np

import resdyn

# %%
# The fixed point of the logistic map flips at r = 3. From that bifurcation continuation switches to the 2-cycle, whose
# flip leads on to the 4-cycle, and so on. Distances between successive flips shrink by a ratio that approaches
# Feigenbaum's number, 4.669….


def logistic(r):
    return resdyn.systems.logistic_map(r=r)


branches = [resdyn.continuation(logistic, [0.6], (2.8, 3.6))]
for _ in range(4):
    branches.append(resdyn.continuation(logistic, branches[-1].bifurcations[0], (2.8, 3.6)))
flips = np.array([branch.bifurcations[0].value for branch in branches])
print("flips: ", flips)
print("ratios:", np.diff(flips)[:-1] / np.diff(flips)[1:])

figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
resdyn.plotting.bifurcation_diagram(branches, parameter="r", ax=ax)

# %%
# Two tanh units that inhibit each other rest at 0 while their gain is small. At gain 1 a supercritical pitchfork makes
# two states in which one unit wins: a flip-flop. The map, with its long step, also has a flip, in the state that is
# unstable by then; the flow has none.

weights = np.array([[0.0, -1.0], [-1.0, 0.0]])


def pair(gain):
    return resdyn.ResidualMap(weights, activation="tanh", damping=1.0, gain=gain, step=0.8)


rest = resdyn.continuation(pair, [0.0, 0.0], (0.2, 2.5))
decided = resdyn.continuation(pair, rest.bifurcations[0], (0.2, 2.5))
print(rest)

# %%
# One unit that inhibits itself has a fixed point that is stable for the flow whatever its weight. The map overshoots if
# its step is too long: from h* = 8/(4λ + αw) on, the layers alternate between two states.


def unit(step):
    return resdyn.ResidualMap([[-12.0]], [6.0], damping=1.0, step=step)


still = resdyn.continuation(unit, [0.5], (0.1, 1.2))
alternating = resdyn.continuation(unit, still.bifurcations[0], (0.1, 1.2))
print(still.bifurcations[0])

figure, axes = plt.subplots(1, 2, figsize=(8, 3.5), layout="constrained")
resdyn.plotting.bifurcation_diagram([rest, decided], parameter="gain", ax=axes[0])
resdyn.plotting.bifurcation_diagram([still, alternating], parameter="step h", ax=axes[1])
plt.show()
