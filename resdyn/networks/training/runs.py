"""What is kept of a training run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn._results import Result, dataset

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]

COLUMNS = ("loss", "training_accuracy", "accuracy", "learning_rate", "seconds")
"""What is known of each epoch."""


@dataclass(frozen=True, eq=False, repr=False)
class TrainingRun(Result):
    """The course of a training run.

    Attributes
    ----------
    loss : array, shape (epochs,)
        Mean cross entropy (with label smoothing) over the training samples while the epoch ran.
    training_accuracy : array, shape (epochs,)
        Of the same predictions: with augmentation, and from a net that changed meanwhile.
    accuracy : array, shape (epochs,)
        On the test set after each epoch, in the precision of training; NaN without a test set.
    learning_rate : array, shape (epochs,)
        Of the last step of each epoch.
    seconds : array, shape (epochs,)
        Wall time.
    end : "complete", "callback" or "diverged"
        Whether all epochs were trained, a callback asked to stop, or the loss was no longer finite.
    card : dict
        What the net's checkpoint says of it: architecture, data, preprocessing, training, accuracy, versions.
    """

    loss: Array
    training_accuracy: Array
    accuracy: Array
    learning_rate: Array
    seconds: Array
    end: str
    card: dict[str, Any]

    @property
    def epochs(self) -> int:
        """How many were trained."""
        return len(self.loss)

    def __repr__(self) -> str:
        end = {"complete": "all that were asked for", "callback": "a callback asked to stop"}.get(
            self.end, "then the loss was not finite"
        )
        test = self.card.get("accuracy")
        found = (
            f", accuracy {test['fraction']:.4f} ({test['right']} of {test['total']}) on the test set" if test else ""
        )
        return (
            f"<TrainingRun: {self.epochs} epoch{'' if self.epochs == 1 else 's'} ({end}) in "
            f"{self.seconds.sum():.3g} s; loss {self.loss[-1]:.4g}, "
            f"training accuracy {self.training_accuracy[-1]:.4f}{found}>"
        )

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` over epochs."""
        return dataset(
            {name: (["epoch"], getattr(self, name)) for name in COLUMNS},
            coords={"epoch": np.arange(1, self.epochs + 1)},
            attrs={"end": self.end, **{k: str(v) for k, v in self.card.items()}},
        )

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        chosen = sorted({*range(0, self.epochs, max(self.epochs // 8, 1)), self.epochs - 1})
        rows = [
            (k + 1, *(f"{v[k]:.4g}" for v in (self.loss, self.training_accuracy, self.accuracy, self.learning_rate)))
            for k in chosen
        ]
        return ("epoch", "loss", "training accuracy", "accuracy", "learning rate"), rows
