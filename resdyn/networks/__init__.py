"""Trained residual networks as systems: the only room with torch.

Public names are loaded when they are first used; ``import resdyn`` does not import torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resdyn.networks.architectures.blocks import InterpolationCoefficient as InterpolationCoefficient
    from resdyn.networks.architectures.blocks import ResidualBlock as ResidualBlock
    from resdyn.networks.architectures.catalogue import ARCHITECTURES as ARCHITECTURES
    from resdyn.networks.architectures.catalogue import build as build
    from resdyn.networks.architectures.cifar_resnets import resnet as resnet
    from resdyn.networks.architectures.cifar_resnets import resnext as resnext
    from resdyn.networks.architectures.contract import Preprocessing as Preprocessing
    from resdyn.networks.architectures.contract import ResidualNetwork as ResidualNetwork
    from resdyn.networks.architectures.contract import ResidualStage as ResidualStage
    from resdyn.networks.architectures.contract import SharedStage as SharedStage
    from resdyn.networks.architectures.dense import dense_resnet as dense_resnet
    from resdyn.networks.architectures.dense import mlp as mlp
    from resdyn.networks.architectures.many_blocks import residual_cnn as residual_cnn
    from resdyn.networks.architectures.many_blocks import residual_mlp as residual_mlp
    from resdyn.networks.checkpoints import load as load
    from resdyn.networks.checkpoints import save as save
    from resdyn.networks.continuous import ODEBlock as ODEBlock
    from resdyn.networks.continuous import ODEFlow as ODEFlow
    from resdyn.networks.continuous import ode_flow as ode_flow
    from resdyn.networks.continuous import ode_net as ode_net
    from resdyn.networks.linearization import Atom as Atom
    from resdyn.networks.linearization import Factors as Factors
    from resdyn.networks.linearization import LinearizedNetwork as LinearizedNetwork
    from resdyn.networks.linearization import LinearizedStage as LinearizedStage
    from resdyn.networks.linearization import LinearizedUnit as LinearizedUnit
    from resdyn.networks.linearization import Projection as Projection
    from resdyn.networks.linearization import SpectralDensity as SpectralDensity
    from resdyn.networks.linearization import Triplets as Triplets
    from resdyn.networks.linearization import UnitCounts as UnitCounts
    from resdyn.networks.linearization import UnitSpectra as UnitSpectra
    from resdyn.networks.linearization import linearize as linearize
    from resdyn.networks.linearization import project as project
    from resdyn.networks.linearization import spectra_on_device as spectra_on_device
    from resdyn.networks.linearization import unit_counts as unit_counts
    from resdyn.networks.linearization import unit_spectra as unit_spectra
    from resdyn.networks.robustness import CORRUPTIONS as CORRUPTIONS
    from resdyn.networks.robustness import Attack as Attack
    from resdyn.networks.robustness import NoiseAccuracy as NoiseAccuracy
    from resdyn.networks.robustness import corrupt as corrupt
    from resdyn.networks.robustness import deepfool as deepfool
    from resdyn.networks.robustness import fgsm as fgsm
    from resdyn.networks.robustness import i_fgsm as i_fgsm
    from resdyn.networks.robustness import noise_accuracy as noise_accuracy
    from resdyn.networks.robustness import pgd as pgd
    from resdyn.networks.robustness import random_perturbations as random_perturbations
    from resdyn.networks.shared_weights import from_residual_map as from_residual_map
    from resdyn.networks.shared_weights import to_residual_map as to_residual_map
    from resdyn.networks.training import PRESETS as PRESETS
    from resdyn.networks.training import Accuracy as Accuracy
    from resdyn.networks.training import StateWatch as StateWatch
    from resdyn.networks.training import TrainingConfig as TrainingConfig
    from resdyn.networks.training import TrainingRun as TrainingRun
    from resdyn.networks.training import accuracy as accuracy
    from resdyn.networks.training import fit as fit
    from resdyn.networks.unrolling import Part as Part
    from resdyn.networks.unrolling import Stage as Stage
    from resdyn.networks.unrolling import Trace as Trace
    from resdyn.networks.unrolling import Unit as Unit
    from resdyn.networks.unrolling import UnitNorms as UnitNorms
    from resdyn.networks.unrolling import UnrolledNetwork as UnrolledNetwork
    from resdyn.networks.unrolling import unroll as unroll

_HOME = {
    "ARCHITECTURES": "resdyn.networks.architectures.catalogue",
    "Accuracy": "resdyn.networks.training",
    "Atom": "resdyn.networks.linearization",
    "Attack": "resdyn.networks.robustness",
    "CORRUPTIONS": "resdyn.networks.robustness",
    "Factors": "resdyn.networks.linearization",
    "InterpolationCoefficient": "resdyn.networks.architectures.blocks",
    "LinearizedNetwork": "resdyn.networks.linearization",
    "LinearizedStage": "resdyn.networks.linearization",
    "LinearizedUnit": "resdyn.networks.linearization",
    "NoiseAccuracy": "resdyn.networks.robustness",
    "ODEBlock": "resdyn.networks.continuous",
    "ODEFlow": "resdyn.networks.continuous",
    "PRESETS": "resdyn.networks.training",
    "Part": "resdyn.networks.unrolling",
    "Preprocessing": "resdyn.networks.architectures.contract",
    "Projection": "resdyn.networks.linearization",
    "ResidualBlock": "resdyn.networks.architectures.blocks",
    "ResidualNetwork": "resdyn.networks.architectures.contract",
    "ResidualStage": "resdyn.networks.architectures.contract",
    "SharedStage": "resdyn.networks.architectures.contract",
    "SpectralDensity": "resdyn.networks.linearization",
    "Stage": "resdyn.networks.unrolling",
    "StateWatch": "resdyn.networks.training",
    "Trace": "resdyn.networks.unrolling",
    "TrainingConfig": "resdyn.networks.training",
    "TrainingRun": "resdyn.networks.training",
    "Triplets": "resdyn.networks.linearization",
    "Unit": "resdyn.networks.unrolling",
    "UnitCounts": "resdyn.networks.linearization",
    "UnitNorms": "resdyn.networks.unrolling",
    "UnitSpectra": "resdyn.networks.linearization",
    "UnrolledNetwork": "resdyn.networks.unrolling",
    "accuracy": "resdyn.networks.training",
    "build": "resdyn.networks.architectures.catalogue",
    "corrupt": "resdyn.networks.robustness",
    "deepfool": "resdyn.networks.robustness",
    "dense_resnet": "resdyn.networks.architectures.dense",
    "fgsm": "resdyn.networks.robustness",
    "fit": "resdyn.networks.training",
    "from_residual_map": "resdyn.networks.shared_weights",
    "i_fgsm": "resdyn.networks.robustness",
    "linearize": "resdyn.networks.linearization",
    "load": "resdyn.networks.checkpoints",
    "mlp": "resdyn.networks.architectures.dense",
    "noise_accuracy": "resdyn.networks.robustness",
    "ode_flow": "resdyn.networks.continuous",
    "ode_net": "resdyn.networks.continuous",
    "pgd": "resdyn.networks.robustness",
    "project": "resdyn.networks.linearization",
    "random_perturbations": "resdyn.networks.robustness",
    "residual_cnn": "resdyn.networks.architectures.many_blocks",
    "residual_mlp": "resdyn.networks.architectures.many_blocks",
    "resnet": "resdyn.networks.architectures.cifar_resnets",
    "resnext": "resdyn.networks.architectures.cifar_resnets",
    "save": "resdyn.networks.checkpoints",
    "spectra_on_device": "resdyn.networks.linearization",
    "to_residual_map": "resdyn.networks.shared_weights",
    "unit_counts": "resdyn.networks.linearization",
    "unit_spectra": "resdyn.networks.linearization",
    "unroll": "resdyn.networks.unrolling",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'resdyn.networks' has no attribute {name!r}")
    try:
        home = importlib.import_module(_HOME[name])
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "resdyn":
            raise
        raise ModuleNotFoundError(
            f"resdyn.networks needs {error.name}, which is not installed; install resdyn[torch] "
            "(resdyn[train] for training).",
            name=error.name,
        ) from error
    value = getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
