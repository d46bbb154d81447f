"""The course of a training run."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn.plotting.canvas import COLOURS, row_of_axes

if TYPE_CHECKING:
    from resdyn.networks.training.runs import TrainingRun

Array = NDArray[Any]


def training_curves(run: "TrainingRun", *, ax: Any = None) -> Array:
    """Loss, error and learning rate against epochs, side by side.

    All on logarithmic axes; an error of zero is left out. The error is one minus the accuracy, on the training samples
    as they were seen during the epoch, and on the test set after it.

    Parameters
    ----------
    run : TrainingRun
    ax : sequence of three Axes, optional

    Returns
    -------
    array of Axes, shape (3,)
    """
    axes = row_of_axes(3) if ax is None else np.atleast_1d(np.asarray(ax, dtype=object))
    if axes.shape != (3,):
        raise ValueError(f"ax has shape {axes.shape}, but there are three panels to draw; give one Axes for each.")
    epochs = np.arange(1, run.epochs + 1)
    style: dict[str, Any] = {"marker": "o", "ms": 3, "linewidth": 1.5}
    axes[0].plot(epochs, run.loss, color=COLOURS[0], **style)
    axes[0].set_ylabel("cross entropy (training)")
    axes[1].plot(epochs, 1 - run.training_accuracy, color=COLOURS[0], label="training", **style)
    if not np.isnan(run.accuracy).all():
        axes[1].plot(epochs, 1 - run.accuracy, color=COLOURS[1], label="test", **style)
    axes[1].set_ylabel("classification error")
    axes[1].legend(fontsize="x-small", frameon=False)
    axes[2].plot(epochs, run.learning_rate, color=COLOURS[2], **style)
    axes[2].set_ylabel("learning rate $\\eta$ (last step)")
    for panel in axes:
        panel.set_yscale("log", nonpositive="mask")
        panel.set_xlabel("epoch")
        panel.xaxis.get_major_locator().set_params(integer=True)
    # schedules that end at zero would stretch the axis to rates that change nothing
    axes[2].set_ylim(bottom=max(run.learning_rate.min(), run.learning_rate.max() * 1e-4) / 1.5)
    return axes
