r"""The learning rate as a function of the step alone, so that a resumed run needs no state of a scheduler.

With :math:`s \in [0, 1)` the part of all steps that is done, "cosine" is :math:`\eta\,(1 + \cos \pi s)/2`; "one-cycle"
is :math:`\eta\,(1/25 + (24/25)\,s/s_0)` up to :math:`s_0 = 1/4`, then
:math:`\eta\,(1 + \cos \pi (s - s_0)/(1 - s_0))/2`.
"""

import math

from resdyn.networks.training.config import TrainingConfig

RISE = 0.25
START = 1 / 25


def learning_rate(config: TrainingConfig, step: int, steps_per_epoch: int) -> float:
    """The rate of the step with this number, counted from 0 over all epochs."""
    epoch = step / steps_per_epoch
    if epoch < config.warmup:
        return config.warmup_rate
    if config.schedule == "steps":
        return config.learning_rate * config.factor ** sum(epoch >= m for m in config.milestones)
    done = epoch / config.epochs
    if config.schedule == "cosine":
        return config.learning_rate * _half_cosine(done)
    if config.schedule == "one-cycle":
        if done < RISE:
            return config.learning_rate * (START + (1 - START) * done / RISE)
        return config.learning_rate * _half_cosine((done - RISE) / (1 - RISE))
    return config.learning_rate


def _half_cosine(done: float) -> float:
    return (1 + math.cos(math.pi * done)) / 2
