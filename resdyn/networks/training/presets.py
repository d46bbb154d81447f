"""Ready-made ways of training."""

from collections.abc import Mapping
from types import MappingProxyType

from resdyn.networks.training.config import TrainingConfig

CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2023, 0.1994, 0.2010)

_YANG = TrainingConfig(
    epochs=160,
    batch_size=128,
    learning_rate=0.1,
    momentum=0.9,
    weight_decay=1e-4,
    schedule="steps",
    milestones=(80, 120),
    pad=2,
    pad_mode="reflect",
    flip=True,
    channels_last=True,
    mean=CIFAR10_MEAN,
    std=CIFAR10_STD,
)

_HE = TrainingConfig(
    epochs=164,
    batch_size=128,
    learning_rate=0.1,
    momentum=0.9,
    weight_decay=1e-4,
    schedule="steps",
    # 32,000 and 48,000 of 64,000 steps; an epoch of 50,000 images has 391
    milestones=(32_000 / 391, 48_000 / 391),
    pad=4,
    flip=True,
    channels_last=True,
)


def _changed(config: TrainingConfig, **changes: object) -> TrainingConfig:
    from dataclasses import replace

    return replace(config, **changes)  # type: ignore[arg-type]


PRESETS: Mapping[str, TrainingConfig] = MappingProxyType(
    {
        "he2016": _HE,
        # about 400 steps at 0.01, until the training error is below 80 %
        "he2016-110": _changed(_HE, warmup=400 / 391, warmup_rate=0.01),
        "yang2020": _YANG,
        "yang2020-cifar100": _changed(_YANG, epochs=300, milestones=(150, 225)),
        # yang2020 in ten epochs: a higher decay makes up for the shorter time
        "laptop": _changed(
            _YANG,
            epochs=10,
            schedule="one-cycle",
            milestones=(),
            learning_rate=0.2,
            weight_decay=5e-4,
            precision="auto",
        ),
        "mnist": TrainingConfig(
            epochs=10,
            batch_size=128,
            optimiser="adam",
            learning_rate=1e-3,
            weight_decay=0.0,
            schedule="one-cycle",
            mean=(0.1307,),
            std=(0.3081,),
        ),
        "digits": TrainingConfig(
            epochs=40, batch_size=64, optimiser="adam", learning_rate=3e-3, weight_decay=0.0, schedule="one-cycle"
        ),
        "smoke": TrainingConfig(epochs=2, batch_size=64, learning_rate=0.05, schedule="one-cycle"),
    }
)
"""Configurations by name; on what they stand is in the guide to training."""
