"""
Attractors over the gain of a network
=====================================

Three units that inhibit each other, in a ring, have one attractor while their gain is small:
first all rest alike, then they take turns. With more gain one of them wins, and which one depends on the start.
"""

import matplotlib.pyplot as plt
import numpy as np

import resdyn

# %%
# At each gain attractors are looked for from the same random states and from the attractors of the gain before, and are
# matched with those.

weights = np.array([[5.0, -5.0, -4.0], [-4.0, 5.0, -5.0], [-5.0, -4.0, 5.0]])


def network(gain):
    return resdyn.ResidualMap(weights, np.full(3, 1.0), damping=1.0, gain=gain, step=0.2)


answer = resdyn.global_continuation(network, np.linspace(0.2, 1.3, 12), (0.0, 1.4), n_starts=100)
print(answer)

# %%
# Above, the activity of unit 0 on each attractor. The point becomes a closed curve that keeps its number, since its
# centre moves little; then three points take its place, one for each winner. Below, the share of random states that
# go to each: the winners are equal by symmetry, up to the accuracy of a hundred states. The dotted line lies between
# the two gains where the change was seen.

kinds = [answer.kind(i, 0) for i in range(len(answer.values))]
print(kinds)

figure, axes = plt.subplots(2, 1, figsize=(7, 6), sharex=True, layout="constrained")
resdyn.plotting.global_continuation(answer, parameter="", ax=axes[0])
resdyn.plotting.basin_fractions(answer, parameter="gain", ax=axes[1])
plt.show()
