"""
Where in a network are classes told apart?
==========================================

A residual network adds up its residuals, so what counts is their sum and not where they end. Two trained networks show
when their classes become separable, and which layers speak for the right class.
"""

import matplotlib.pyplot as plt

import resdyn
from resdyn import plotting

# %%
# Two concentric circles cannot be separated by a line, so a linear probe of the input is no better than shuffled labels
# (grey). Three logistic units and fifteen layers bend the plane until a line will do. The residuals of both classes
# approach the same values, and separate worse at the end than on the way; the states, their running sums, do not.

circles = resdyn.systems.trained("circles")
points, labels = resdyn.data.circles(1000, rng=1)
trajectory = resdyn.simulate(circles.system, circles.embed(points), depth=circles.depth)
transients = resdyn.transients(trajectory, labels, readout=circles.readout)

figure, axes = plt.subplots(1, 3, figsize=(12, 3.5), layout="constrained")
plotting.transients(transients, ax=axes)
figure.suptitle("Concentric circles: 3 units, 15 layers")
print(transients)

# %%
# The read-out (dashed) is one fixed line, made for layer 15: at layer 10 it is near chance, although a probe already
# tells the classes apart. In the right panel, layers disagree: early ones speak for class 1, late ones for class 0.
#
# Handwritten digits are another story. A line separates most of them from the start, and every layer adds to the margin
# of every true class, until the sum is on the right side of the read-out.

digits = resdyn.systems.trained("digits")
images, classes = resdyn.data.digits()
images, classes = images[digits.test_index], classes[digits.test_index]
trajectory = resdyn.simulate(digits.system, digits.embed(images), depth=digits.depth)
transients = resdyn.transients(trajectory, classes, readout=digits.readout)

figure, axes = plt.subplots(1, 3, figsize=(12, 3.5), layout="constrained")
plotting.transients(transients, ax=axes)
figure.suptitle("Handwritten digits: 64 units, 15 layers")
print(transients)

# %%
# Are fifteen layers enough? The residuals of the last two still differ by more than the threshold of the depth rule of
# lagzi2021, so no layer should go. Run for 200 layers, the same weights leave most of them idle.

print(resdyn.depth_rule(trajectory))
print(resdyn.depth_rule(resdyn.simulate(digits.system, digits.embed(images), depth=200)))

plt.show()
