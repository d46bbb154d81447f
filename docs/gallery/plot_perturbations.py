"""
Random and adversarial perturbations of a trained network
=========================================================

A network that was trained on handwritten digits meets two perturbations of the same size: one in a random direction,
and one that is aimed at its decision. Their sizes along the layers show how differently it treats them.
"""

import matplotlib.pyplot as plt
import numpy as np

import resdyn
from resdyn import plotting

network = resdyn.systems.trained("digits")
images, labels = resdyn.data.digits()
x = network.embed(images[network.test_index][:100])
size = 0.1 * np.sqrt(x.shape[1])  # a tenth per pixel, where an image has pixels from 0 to 1

# %%
# The aim is the next best class. How its score rises against that of the winner is a gradient at the last layer, and
# the adjoint of the tangent map carries that gradient back to the image.


def towards_the_next_best(state):
    """The direction in which the runner-up gains most on the winner, to first order."""
    trajectory = resdyn.simulate(network.system, state, depth=network.depth)
    best, second = np.argsort(network.readout(trajectory.final))[[-1, -2]]
    gradient = network.readout.weights[second] - network.readout.weights[best]
    return resdyn.tangent_map(trajectory).rmatvec(gradient)


def of_size(directions):
    """The same directions, all of one length."""
    return size * directions / np.linalg.norm(directions, axis=-1, keepdims=True)


perturbations = {
    "adversarial": of_size(np.array([towards_the_next_best(state) for state in x])),
    "random": of_size(np.random.default_rng(0).normal(size=x.shape)),
}

# %%
# Both are followed through the fifteen layers, true (solid) and to first order (dashed). All states grow from layer to
# layer, because logistic residuals are positive, so the size of a perturbation is best read relative to the state.

runs = {name: resdyn.propagate(network.system, x, v, depth=network.depth) for name, v in perturbations.items()}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
plotting.propagation(runs, relative=False, ax=left)
plotting.propagation(runs, ax=right)

# %%
# The random perturbation falls behind the growing state. So does the adversarial one at first, but then it outgrows the
# state, and it takes the decision with it:

decision = network.predict(images[network.test_index][:100])
for name, v in perturbations.items():
    end = resdyn.simulate(network.system, x + v, depth=network.depth, save="final").final
    changed = np.mean(network.readout(end).argmax(axis=-1) != decision)
    print(f"{name}: size ×{np.median(runs[name].sizes[-1]) / size:.1f}, {changed:.0%} of the decisions changed")
