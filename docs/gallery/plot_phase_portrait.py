"""
Who ends in which well: the phase portrait of a saddle
======================================================

A particle with friction in a double well comes to rest in one of two places. Which one is decided by a curve, the
stable manifold of the saddle between the wells, and that curve winds around both.
"""

import matplotlib.pyplot as plt
import numpy as np

import resdyn

# %%
# The unstable manifold (red) falls from the saddle into both wells. The stable manifold (blue) bounds two bands that
# wind around each other: states of one band end in the left well, those of the other in the right one. Two starts
# that are close together, but on different sides, part at the saddle.

duffing = resdyn.systems.duffing(delta=0.2)
starts = np.array([[1.7, 0.0], [1.8, 0.0]])
orbits = resdyn.simulate(duffing, starts, depth=400, method="RK45")
print(orbits.final.round(2))

figure, ax = plt.subplots(figsize=(7, 5), layout="constrained")
resdyn.plotting.phase_portrait(duffing, (-2.2, 2.2), trajectories=orbits, ax=ax)

# %%
# The residual network with this residual is Euler's method with step h, and its fixed points are the same. At h = 0.2
# their multipliers 1 + hλ lie outside the unit circle, although nothing has happened to the flow: the wells repel.
# The two manifolds change roles. Now the stable one comes out of the wells, and the unstable one leads away from
# them.

euler = duffing.replace(step=0.2)
well = max(resdyn.fixed_points(euler, region=(-2.0, 2.0)), key=lambda point: point.x[0])
print(well)

figure, ax = plt.subplots(figsize=(7, 5), layout="constrained")
resdyn.plotting.phase_portrait(euler, (-2.2, 2.2), dynamics="map", nullclines=False, ax=ax)
plt.show()
