"""
Regular and chaotic orbits, and the directions of chaos
=======================================================

In the standard map islands of regular motion lie in a chaotic sea. Alignment indices tell them apart within some dozens
of steps, and covariant vectors show in which directions the sea stretches and folds.
"""

import matplotlib.pyplot as plt
import numpy as np

import resdyn

# %%
# Two orbits for K = 1.5, one around the centre at x = π and one close to the saddle at the origin. Two deviation
# vectors are carried along each. In the sea they turn into one direction exponentially fast; in the island, too, they
# align, but like the inverse square of time.

system = resdyn.systems.standard_map(K=1.5)
indicators = resdyn.chaos_indicators(system, [[np.pi + 0.4, 0.0], [0.05, 0.02]], depth=10_000)
print(indicators)

figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
resdyn.plotting.chaos_indicators(indicators, ax=ax)
ax.plot(indicators.t, -2 * np.log10(indicators.t), color="0.5", linestyle="--", linewidth=0.8, label="$t^{-2}$")
ax.set_ylim(-40, 1)
ax.legend(frameon=False)

# %%
# A grid of initial states, coloured by the time until GALI_2 is below 10⁻⁸: short in the sea, long near the edges of
# islands, never inside them, where t⁻² takes longer than these steps.

x, p = np.meshgrid(np.linspace(0, 2 * np.pi, 201), np.linspace(-np.pi, np.pi, 201))
grid = resdyn.chaos_indicators(system, np.stack([x, p], axis=-1), depth=300)
times = grid.time_below(1e-8)

figure, ax = plt.subplots(figsize=(6, 4.6), layout="constrained")
image = ax.pcolormesh(x, p, times, cmap="viridis_r", vmin=20, vmax=300, rasterized=True)
ax.set_facecolor("white")
figure.colorbar(image, label="t at which GALI_2 < 1e-8")
ax.set_xlabel("x")
ax.set_ylabel("p")

# %%
# On the Hénon attractor the first covariant vector lies along the attractor, the second points where distances
# shrink. Where the two are nearly parallel the attractor folds: the angle between them comes close to 0, and the map is
# not hyperbolic.

vectors = resdyn.covariant_vectors(resdyn.systems.henon(), [0.1, 0.1], depth=20_000)
print(vectors)

figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
resdyn.plotting.covariant_directions(vectors, ax=axes[0])
resdyn.plotting.covariant_angles(vectors, ax=axes[1])
plt.show()
