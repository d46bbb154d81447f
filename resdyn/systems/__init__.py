"""The catalogue: toy systems from the theory, weight matrices, and small trained networks."""

from resdyn.systems.pretrained import Readout, TrainedNetwork, trained

__all__ = ["Readout", "TrainedNetwork", "trained"]
