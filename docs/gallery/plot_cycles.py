r"""
Cycles inside chaos
===================

A chaotic attractor holds infinitely many unstable cycles, and follows one after the other. The shortest ones of the
Lorenz flow are found here, and seen again as a few points on a section.
"""

# %%
# The shortest limit cycles
# -------------------------
# All orbits that return after roughly 1.6 and 2.3 units of time. Each loop around one of the two wings is a letter: the
# shortest cycle goes once around each, the next two go around one wing twice and are mirror images.

import matplotlib.pyplot as plt
import numpy as np

import resdyn

flow = resdyn.systems.lorenz()
shortest = resdyn.cycles(flow, 1.6, dynamics="flow")
longer = resdyn.cycles(flow, 2.3, dynamics="flow", n_starts=16)
for cycle in (*shortest, *longer):
    print(cycle)

figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.5), layout="constrained", sharey=True)
attractor = resdyn.simulate(flow, [1.0, 1.0, 20.0], depth=6000, transient=500, method="RK45")
for ax, found in zip(axes, (shortest, longer[np.isclose(longer.duration, 2.306, atol=1e-3)]), strict=True):
    ax.plot(attractor.x[:, 0], attractor.x[:, 2], color="0.85", linewidth=0.4)
    resdyn.plotting.cycles(found, units=(0, 2), ax=ax)
    ax.get_legend().remove()
    ax.set_title(f"T = {found.duration[0]:.4f}")

# %%
# The same cycles on a section
# ----------------------------
# Where orbits come down through z = 27 the attractor is nearly a pair of curves. The return map has the same cycles,
# now with two and three states; its multipliers are those of the flow without the trivial one.

section = resdyn.poincare_map(flow, (2, 27.0), direction=-1)
crossings = resdyn.simulate(section, np.random.default_rng(0).normal(scale=5.0, size=(50, 2)), depth=20)

ax = resdyn.plotting.poincare_section(crossings, transient=8, ax=plt.subplots(layout="constrained")[1])
begin = np.array([cycle.x[np.argmin(np.abs(cycle.x[:, 2] - 27.0))] for cycle in shortest])
two = resdyn.cycles(section, 2, starts=section.project(begin))
ax.plot(*two.x.reshape(-1, 2).T, "o", ms=8, fillstyle="none", color=resdyn.plotting.COLOURS[3], label="2-cycle")
ax.legend(frameon=False)
print(two)
print("time of one round:", section.return_time(two.x[0]).sum(), "and of the limit cycle:", shortest.duration[0])
plt.show()
