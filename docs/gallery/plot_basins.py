"""
Basins of attraction: where a network's state ends up
=====================================================

A residual network with shared weights carries each input to one of its attractors. Which one, how long it takes, and
how much of the space of inputs each attractor collects is a picture.
"""

import matplotlib.pyplot as plt
import numpy as np

import resdyn

# %%
# Two logistic units that excite themselves and inhibit each other. Nothing is said about the attractors: they are
# found. The boundary is the diagonal; the states on it go to the saddle between the two attractors and are reported as
# boundary, not as members of either basin.

network = resdyn.systems.bistable()
axis = np.linspace(-2, 2, 301)
basins = resdyn.basins_of_attraction(network, (axis, axis))
print(basins)
print(basins.attractors)

# %%
# Near the boundary, decisions take long: the number of layers grows with the logarithm of the distance.

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
resdyn.plotting.basins(basins, ax=left)
resdyn.plotting.convergence_times(basins, ax=right)

# %%
# Newton's method for the cube roots of one is a residual map as well. Every boundary point touches all three basins.

newton = resdyn.systems.newton_map()
axis = np.linspace(-2, 2, 400)
roots = resdyn.basins_of_attraction(newton, (axis, axis))
print(roots)

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
resdyn.plotting.basins(roots, ax=left)
resdyn.plotting.convergence_times(roots, ax=right)
plt.show()
