"""
An aimed step and a random one of the same size
===============================================

A small residual network learns to read digits. Then all pixels of an image move by the same amount, once up or down at
random, and once up or down as the gradient of the loss says.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

import resdyn

rows, labels = resdyn.data.digits()
pixels = (rows / 16).reshape(-1, 1, 8, 8).astype(np.float32)
test, train = slice(0, 200), slice(200, None)

torch.manual_seed(0)
preprocessing = resdyn.networks.Preprocessing(mean=(0.3,), std=(0.35,))
net = resdyn.networks.resnet(8, channels=1, widths=(8, 16, 32), preprocessing=preprocessing)
inputs, targets = preprocessing(torch.from_numpy(pixels[train])), torch.from_numpy(labels[train])
optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
for _ in range(4):
    for part in torch.randperm(len(inputs)).split(100):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(inputs[part]), targets[part]).backward()
        optimiser.step()
net.eval()

# %%
# Accuracy against the size of the perturbation: the fast gradient method takes one step, projected gradient ascent ten
# smaller ones. Both stay within the radius, and within the range of pixels.


def accuracy(images):
    """Share of the test images that are classified correctly."""
    with torch.no_grad():
        return float(np.mean(net.on_pixels(images).argmax(dim=1).numpy() == labels[test]))


images = pixels[test]
radii = np.array([0, 0.05, 0.1, 0.15, 0.2, 0.3])
curves = {"random": [], "FGSM": [], "PGD": []}
for radius in radii:
    noise = resdyn.networks.random_perturbations(images, radius=radius)[0]
    curves["random"].append(accuracy(np.clip(images + noise, 0, 1)))
    curves["FGSM"].append(resdyn.networks.fgsm(net, images, labels[test], radius=radius).accuracy)
    curves["PGD"].append(resdyn.networks.pgd(net, images, labels[test], radius=radius, steps=10).accuracy)

figure, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
for (name, values), style in zip(curves.items(), ("o-", "s-", "^-"), strict=True):
    ax.plot(radii, values, style, markersize=4, label=name)
ax.set(xlabel=r"radius in $\ell_\infty$, pixels from 0 to 1", ylabel="accuracy", ylim=(0, 1))
ax.legend(frameon=False)

# %%
# At a radius of 0.15 the random step costs a few per cent; the aimed one, about as long in every norm, most of the
# digits. To the eye the two are much alike.

attack = resdyn.networks.fgsm(net, images, labels[test], radius=0.15)
noise = resdyn.networks.random_perturbations(images, radius=0.15)[0]
shown = np.flatnonzero(attack.clean_correct & attack.success)[:6]
with torch.no_grad():
    of_noise = net.on_pixels(images[shown] + noise[shown]).argmax(dim=1).numpy()

rows = {
    "clean": (images[shown], attack.clean_predictions[shown]),
    "random": (images[shown] + noise[shown], of_noise),
    "FGSM": (attack.images[shown], attack.predictions[shown]),
}
figure, axes = plt.subplots(3, 6, figsize=(6.5, 3.8), layout="constrained")
for line, (name, (of_row, seen)) in zip(axes, rows.items(), strict=True):
    for ax, image, digit in zip(line, of_row, seen, strict=True):
        ax.imshow(image[0], cmap="gray_r", vmin=0, vmax=1)
        ax.set_title(f"seen as {digit}", fontsize="small")
        ax.set(xticks=[], yticks=[])
    line[0].set_ylabel(name)
print(attack)
