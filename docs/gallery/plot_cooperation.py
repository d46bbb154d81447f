"""
Who helps and who hinders whom
==============================

The signs of a weight matrix say which units cooperate and which compete, in every state of the network.
In a trained network they describe; in a cooperative one they prove that an order of states is never reversed,
as long as the step is small enough.
"""

import matplotlib.pyplot as plt
import numpy as np

import resdyn
from resdyn import plotting

# %%
# A trained network
# -----------------
#
# Sixty-four logistic units with shared weights, trained on handwritten digits, run on the test images. Each pair of
# units is mutualistic, competing, or predator and prey; training leaves no zeros. The influence of unit j on unit i is
# :math:`y_i(1 - y_i) w_{ij}`: it keeps its sign and fades as the residuals approach 0 or 1.

digits = resdyn.systems.trained("digits")
images, labels = resdyn.data.digits()
trajectory = resdyn.simulate(digits.system, digits.embed(images[digits.test_index]), depth=digits.depth)
found = resdyn.cooperation(digits.system, trajectory)
print(found)

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
plotting.relations(found, ax=left).set_title("Relations of units")
plotting.influence(found, ax=right).set_title("The strongest influences")
plt.show()

# %%
# Order, and the step that breaks it
# ----------------------------------
#
# Four units that limit themselves and help one another. The flow keeps the order of any two states. The map does so
# for steps up to :math:`4/\max_i |w_{ii}|`.

W = resdyn.systems.cooperative_weights(4)
np.fill_diagonal(W, -4.0)
print(resdyn.cooperation(W).map[0])

# %%
# Two initial states that differ in one unit, by 0.5, and how far the second stays above the first. Within the bound no
# difference becomes negative; at three times the bound the first layer already reverses the order of that unit.

low = np.zeros(4)
high = np.array([0.5, 0.0, 0.0, 0.0])
figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), sharey=True, layout="constrained")
for ax, step in zip(axes, (0.8, 3.0), strict=True):
    system = resdyn.logistic_residuals(W, step=step)
    run = resdyn.simulate(system, np.stack([low, high]), depth=8)
    difference = run.x[:, 1] - run.x[:, 0]
    for unit in range(4):
        ax.plot(difference[:, unit], marker="o", ms=3, color=plotting.COLOURS[unit], label=f"unit {unit}")
    ax.axhline(0.0, color="black", linewidth=0.8)
    verdict = "is preserved" if resdyn.cooperation(system).is_monotone("map") else "is not preserved"
    ax.set_title(f"h = {step:g}: the order {verdict}")
    ax.set_xlabel("layer k")
axes[0].set_ylabel(r"$z_k(\mathrm{high}) - z_k(\mathrm{low})$")
axes[0].legend(fontsize="small", frameon=False)
plt.show()
