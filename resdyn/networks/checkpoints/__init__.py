"""Networks on disk: safetensors with a JSON card, and the weights of others."""

from resdyn.networks.checkpoints.reading import load
from resdyn.networks.checkpoints.writing import save

__all__ = ["load", "save"]
