"""What must hold before the first epoch."""

import pickle
from typing import Any

import torch
from torch import Tensor, nn

from resdyn.networks.architectures.contract import Preprocessing
from resdyn.networks.training.config import TrainingConfig
from resdyn.networks.training.devices import deterministic
from resdyn.networks.training.epochs import evaluating, preparation
from resdyn.networks.training.presets import PRESETS
from resdyn.networks.training.sources import Samples, check_range

_PRESETS = ", ".join(map(repr, PRESETS))


def settings_of(config: TrainingConfig | str) -> TrainingConfig:
    if isinstance(config, TrainingConfig):
        return config
    if not isinstance(config, str):
        raise TypeError(f"config is {config!r}; pass a TrainingConfig, or the name of a preset, {_PRESETS}.")
    if config not in PRESETS:
        raise ValueError(f"config is {config!r}; pass a TrainingConfig, or the name of a preset: {_PRESETS}.")
    return PRESETS[config]


def set_preprocessing(net: nn.Module, train: Samples, config: TrainingConfig) -> None:
    """Give a net without ``preprocessing`` that of the config, or that of the training set."""
    if not train.are_pixels:
        return
    present: Any = getattr(net, "preprocessing", None)
    wanted = None
    if config.mean is not None and config.std is not None:
        wanted = Preprocessing(config.mean, config.std)
        _check_channels(len(wanted.mean), train, config)
    if present is not None:
        if wanted is not None and (present.mean, present.std) != (wanted.mean, wanted.std):
            raise ValueError(
                f"net.preprocessing is {present}, but the config says {wanted}; set net.preprocessing = None, or leave "
                "mean and std out of the config (dataclasses.replace(config, mean=None, std=None))."
            )
        return
    if wanted is None:
        wanted = _statistics(train.inputs)
    net.preprocessing = wanted  # type: ignore[assignment]


def _check_channels(channels: int, train: Samples, config: TrainingConfig) -> None:
    present = train.inputs.shape[1]
    if channels == present:
        return
    preset = next((f"preset {name!r}" for name, one in PRESETS.items() if one == config), "config")
    raise ValueError(
        f"the {preset} normalises images of {channels} channels, but {train.name!r} has {present}; pass "
        f'config="{_preset_for(train)}", or dataclasses.replace(config, mean=None, std=None).'
    )


def _preset_for(train: Samples) -> str:
    """One for grey images, or for any number of channels."""
    return "mnist" if train.name.startswith("MNIST") else "digits"


def _statistics(images: Tensor) -> Preprocessing:
    """Mean and deviation of each channel, from how often each of the 256 values occurs."""
    values = torch.arange(256, dtype=torch.float64) / 255
    mean, std = [], []
    for channel in images.unbind(1):
        share = torch.bincount(channel.flatten().cpu(), minlength=256).double() / channel.numel()
        mean.append(float(share @ values))
        std.append(float(share @ (values - mean[-1]).square()) ** 0.5 if (share > 0).sum() > 1 else 1.0)
    return Preprocessing(tuple(mean), tuple(std))


def check_fit(
    net: nn.Module,
    train: Samples,
    test: Samples | None,
    config: TrainingConfig,
    processes: int,
    callbacks: tuple[Any, ...],
) -> None:
    """Refuse what cannot be trained; a net without ``preprocessing`` has it afterwards."""
    _check_sets(net, train, test, config, processes)
    for part in (train, test):
        if part is not None:
            check_range(part, getattr(net, "preprocessing", None))
    if processes > 1:
        _check_sendable(callbacks)
    before: Any = getattr(net, "preprocessing", None)
    try:
        set_preprocessing(net, train, config)
        _check_labels(_classes(net, train, config), train, test)
    except BaseException:
        if train.are_pixels:
            net.preprocessing = before
        raise


def _check_sendable(callbacks: tuple[Any, ...]) -> None:
    for callback in callbacks:
        try:
            pickle.dumps(callback)
        except Exception as error:  # what cannot be pickled fails in many ways
            raise TypeError(
                f"the callback {callback!r} cannot be sent to other processes ({error}); pass a function of a module, "
                "or processes=1."
            ) from None


def _classes(net: nn.Module, train: Samples, config: TrainingConfig) -> int:
    """How many classes the net tells apart, from its answer to two samples."""
    others = sorted({str(parameter.dtype) for parameter in net.parameters() if parameter.dtype != torch.float32})
    if others:
        raise TypeError(
            f"the net has parameters of {', '.join(others)}, but training keeps weights in single precision; call "
            "net.float() first, and choose the precision of products by config.precision."
        )
    device = next(net.parameters()).device
    prepare = preparation(train, getattr(net, "preprocessing", None), torch.float32, channels_last=config.channels_last)
    inputs = train.inputs[:2].to(device)
    generators = [] if device.type == "cpu" else [device]
    with evaluating(net), torch.no_grad(), deterministic(device), torch.random.fork_rng(devices=generators):
        try:
            logits: Any = net(prepare(inputs))
        except Exception as error:  # a net fails in any way on inputs that it is not made for
            raise ValueError(
                f"the net cannot take inputs of shape {tuple(train.inputs.shape)} from {train.name!r} ({error}); "
                "pass data of the kind that it was made for."
            ) from error
    if not isinstance(logits, Tensor):
        raise TypeError(
            f"the net returns a {type(logits).__name__}, but training needs one tensor of logits; wrap it in a module "
            "whose forward returns them."
        )
    if logits.ndim != 2 or len(logits) != len(inputs) or not logits.is_floating_point():
        raise ValueError(
            f"the net returns {logits.dtype} of shape {tuple(logits.shape)} for {len(inputs)} inputs, but training "
            f"needs logits of shape ({len(inputs)}, classes)."
        )
    return logits.shape[1]


def _check_labels(classes: int, train: Samples, test: Samples | None) -> None:
    for part in (train, test):
        if part is None:
            continue
        low, high = int(part.labels.min()), int(part.labels.max())
        if low < 0 or high >= classes:
            raise ValueError(
                f"{part.name!r} has labels from {low} to {high}, but the net has {classes} outputs, for the labels 0 "
                f"to {classes - 1}; number the classes from 0, or build the net with more."
            )


def _check_sets(net: nn.Module, train: Samples, test: Samples | None, config: TrainingConfig, processes: int) -> None:
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
            f'{tuple(train.inputs.shape)}; pass config="digits", or another with pad=0 and flip=False.'
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
