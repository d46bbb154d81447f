"""
How well must an input be known?
================================

Between basins of attraction there may be a line, or a fractal that no magnification resolves. Entropy and exponent of
the boundary tell which; an edge state tells what sits on it.
"""

import matplotlib.pyplot as plt
import numpy as np

import resdyn

# %%
# Newton's method for the three cube roots of 1 is a map of the plane with three attractors. Two units that inhibit each
# other have two, and by symmetry the line where both are equal divides their basins.

axis = np.linspace(-2, 2, 400)
newton = resdyn.basins_of_attraction(resdyn.systems.newton_map(), (axis, axis))
axis = np.linspace(-0.5, 1.5, 400)
rivals = resdyn.basins_of_attraction(resdyn.systems.bistable(), (axis, axis))

figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for ax, basins in zip(axes, (newton, rivals), strict=True):
    resdyn.plotting.basins(basins, ax=ax)
    ax.set_title(basins.system.name)

# %%
# A state is uncertain if an error of size ε changes its outcome. For the line, ten times less error means ten times
# fewer uncertain states. For the fractal it means that more than a quarter of them remain.

exponents = [resdyn.uncertainty_exponent(basins) for basins in (newton, rivals)]
for exponent in exponents:
    print(exponent)
    print(f"left by an error ten times smaller: {10**-exponent.exponent:.2f}\n")
print(resdyn.basin_entropy(newton))

figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained", sharey=True)
for ax, exponent, basins in zip(axes, exponents, (newton, rivals), strict=True):
    resdyn.plotting.uncertainty(exponent, ax=ax)
    ax.set_title(basins.system.name)

# %%
# Two states of different basins are brought together by bisection, run side by side until the boundary has torn them
# apart, and brought together again. They come to a saddle: one multiplier above 1, across the boundary, and one below,
# along it.

edge = resdyn.edge_state(rivals, [0.9, -0.3], [-0.2, 0.4])
print(edge)
print("multipliers", edge.multipliers.real.round(4))

figure, ax = plt.subplots(figsize=(5, 4), layout="constrained")
resdyn.plotting.edge_track(edge, ax=ax)
plt.show()
