"""Training of classifiers: resumable, reproducible, on one or several devices."""

from resdyn.networks.training.config import TrainingConfig
from resdyn.networks.training.epochs import Accuracy, accuracy
from resdyn.networks.training.fitting import fit
from resdyn.networks.training.presets import PRESETS
from resdyn.networks.training.runs import TrainingRun
from resdyn.networks.training.watching import StateWatch

__all__ = ["PRESETS", "Accuracy", "StateWatch", "TrainingConfig", "TrainingRun", "accuracy", "fit"]
