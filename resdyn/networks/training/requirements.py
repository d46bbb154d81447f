"""What must hold before the first epoch."""

from typing import Any

import torch
from torch import nn

from resdyn.networks.architectures.contract import Preprocessing
from resdyn.networks.training.config import TrainingConfig
from resdyn.networks.training.presets import PRESETS
from resdyn.networks.training.sources import Samples


def settings_of(config: TrainingConfig | str) -> TrainingConfig:
    if isinstance(config, TrainingConfig):
        return config
    if config not in PRESETS:
        raise ValueError(
            f"config is {config!r}; pass a TrainingConfig, or the name of a preset: {', '.join(map(repr, PRESETS))}."
        )
    return PRESETS[config]


def set_preprocessing(net: nn.Module, train: Samples, config: TrainingConfig) -> None:
    """Give a net without ``preprocessing`` that of the config, or that of the training set."""
    if not train.are_pixels:
        return
    present: Any = getattr(net, "preprocessing", None)
    wanted = None
    if config.mean is not None and config.std is not None:
        wanted = Preprocessing(config.mean, config.std)
    if present is not None:
        if wanted is not None and (present.mean, present.std) != (wanted.mean, wanted.std):
            raise ValueError(
                f"net.preprocessing is {present}, but the config says {wanted}; set net.preprocessing = None, or leave "
                "mean and std out of the config (dataclasses.replace(config, mean=None, std=None))."
            )
        return
    if wanted is None:
        pixels = train.inputs.double().div(255).movedim(1, 0).flatten(1)
        std = pixels.std(1, correction=0)
        wanted = Preprocessing(tuple(pixels.mean(1).tolist()), tuple(std.where(std > 0, torch.ones_like(std)).tolist()))
    net.preprocessing = wanted  # type: ignore[assignment]


def check_fit(net: nn.Module, train: Samples, test: Samples | None, config: TrainingConfig, processes: int) -> None:
    if not any(parameter.requires_grad for parameter in net.parameters()):
        raise ValueError("the net has no parameters that require gradients; there is nothing to train.")
    if test is not None and (test.inputs.shape[1:], test.are_pixels) != (train.inputs.shape[1:], train.are_pixels):
        raise ValueError(
            f"training inputs have shape {tuple(train.inputs.shape[1:])} and {train.inputs.dtype}, but test inputs "
            f"{tuple(test.inputs.shape[1:])} and {test.inputs.dtype}; pass sets of one kind."
        )
    if (config.pad or config.flip) and train.inputs.ndim != 4:
        raise ValueError(
            f"crop and flip are for images of shape (n, C, H, W), but the inputs have shape "
            f"{tuple(train.inputs.shape)}; use a config with pad=0 and flip=False."
        )
    if config.pad_mode == "reflect" and train.inputs.ndim == 4 and config.pad >= min(train.inputs.shape[-2:]):
        raise ValueError(
            f"pad is {config.pad}, but reflection needs less than the size {tuple(train.inputs.shape[-2:])}."
        )
    smallest = len(train) % config.batch_size or min(config.batch_size, len(train))
    if smallest < processes:
        raise ValueError(
            f"the last batch of an epoch has {smallest} samples, too few for {processes} processes; choose another "
            "batch_size."
        )
