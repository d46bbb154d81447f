"""One pass over the training set, and the share of a set that a net gets right."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from resdyn._validation import count
from resdyn.data import image_set
from resdyn.networks.devices import named_device
from resdyn.networks.training.augmentation import cut_out, draw_places, order_of
from resdyn.networks.training.config import TrainingConfig
from resdyn.networks.training.schedules import learning_rate
from resdyn.networks.training.sources import Samples, check_range, samples

Prepare = Callable[[Tensor], Tensor]


class Accuracy(NamedTuple):
    """The fraction that is right, how many these are, and of how many."""

    fraction: float
    right: int
    total: int


@dataclass(frozen=True)
class Share:
    """Which part of each batch this process takes: the one numbered ``rank`` of ``processes``."""

    rank: int = 0
    processes: int = 1

    def of(self, batch: Tensor) -> Tensor:
        """The part of this process."""
        return torch.tensor_split(batch, self.processes)[self.rank]


def accuracy(net: nn.Module, data: Any, *, batch_size: int = 500, device: Any = None) -> Accuracy:
    """How many samples a net classifies correctly, in eval mode and in the precision of its weights.

    Parameters
    ----------
    net : module
        Pixels are normalised with ``net.preprocessing``.
    data : ImageSet, pair of arrays (inputs, labels), or str
        Inputs that are not bytes go to the net as they are, so images of floats are normalised already. A name, such
        as "cifar10", stands for its test set; training files are not needed.
    batch_size : int
    device : optional
        By default where the net is. The net itself is not moved.

    Returns
    -------
    Accuracy
        ``fraction``, ``right``, ``total``.

    Raises
    ------
    ValueError
        If ``data`` holds no samples, or images of bytes and the net has no ``preprocessing``; if images of floats look
        like bytes, or like pixels from 0 to 1 where the net has ``preprocessing``.
    RuntimeError
        If CUDA is asked for and absent.
    """
    of = samples(image_set(data, "test") if isinstance(data, str) else data)
    if not len(of):
        raise ValueError(f"{of.name!r} holds no samples; pass at least one.")
    parameter = next(net.parameters(), torch.empty(0))
    preprocessing: Any = getattr(net, "preprocessing", None)
    check_range(of, preprocessing)
    prepare = preparation(of, preprocessing, parameter.dtype, channels_last=False)
    where = parameter.device if device is None else named_device(device)
    return share_right(net, of.to(where), prepare, count(batch_size, "batch_size", least=1))


def share_right(
    net: nn.Module,
    of: Samples,
    prepare: Prepare,
    batch_size: int,
    forward_context: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Accuracy:
    """As :func:`accuracy`, of samples that are on the device of the net."""
    right = 0
    with evaluating(net), torch.no_grad():
        for inputs, labels in zip(of.inputs.split(batch_size), of.labels.split(batch_size), strict=True):
            with forward_context():
                logits = net(prepare(inputs))
            right += int((logits.argmax(1) == labels).sum())
    return Accuracy(right / len(of), right, len(of))


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """The net in eval mode; afterwards each module is in the mode it was in."""
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def preparation(of: Samples, preprocessing: Any, dtype: torch.dtype, *, channels_last: bool) -> Prepare:
    """How a batch of these samples becomes an input of the net."""
    if of.are_pixels and preprocessing is None:
        raise ValueError(
            f"{of.name!r} holds images of bytes, and the net does not say how to normalise them; set "
            "net.preprocessing = resdyn.networks.Preprocessing(mean, std), or pass inputs that are normalised already."
        )

    def prepare(inputs: Tensor) -> Tensor:
        prepared = preprocessing(inputs.to(dtype).div_(255)) if of.are_pixels else inputs.to(dtype)
        if channels_last and prepared.ndim == 4:
            return prepared.contiguous(memory_format=torch.channels_last)
        return prepared

    return prepare


def batches(of: Samples, config: TrainingConfig, epoch: int, share: Share) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Inputs, labels of this process, and the size of the batch of all processes; epochs count from 0."""
    # drawn on the CPU, so that every device sees the same, and moved in one piece
    order = order_of(config, epoch, len(of)).to(of.labels.device)
    places = draw_places(config, epoch, len(of)).to(of.labels.device) if config.pad or config.flip else None
    for first in range(0, len(of), config.batch_size):
        whole = order[first : first + config.batch_size]
        index = share.of(whole)
        inputs = of.inputs[index]
        if places is not None:
            inputs = cut_out(inputs, share.of(places[first : first + config.batch_size]), config)
        yield inputs, of.labels[index], len(whole)


def steps_per_epoch(n: int, config: TrainingConfig) -> int:
    """How many batches n samples make."""
    return -(-n // config.batch_size)


def train_epoch(
    net: Any,
    optimiser: Any,
    backward: Callable[[Tensor], None],
    of: Samples,
    prepare: Prepare,
    config: TrainingConfig,
    epoch: int,
    share: Share,
    after_step: Callable[[], Any],
) -> tuple[Tensor, float]:
    """One epoch; the sums of loss and of right answers over this process's samples, and the last learning rate.

    Parameters
    ----------
    after_step : function
        Called after each step.
    """
    n_steps = steps_per_epoch(len(of), config)
    sums, rate = torch.zeros(2, dtype=torch.float64, device=of.labels.device), 0.0
    net.train()
    for k, (inputs, labels, whole) in enumerate(batches(of, config, epoch, share)):
        rate = learning_rate(config, epoch * n_steps + k, n_steps)
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad(set_to_none=True)
        logits = net(prepare(inputs)).float()
        loss = cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
        # processes average their gradients; the parts of a batch may differ by one sample in size
        weight = len(labels) * share.processes / whole
        backward(loss if weight == 1 else loss * weight)
        optimiser.step()
        sums += torch.stack([loss.detach().double() * len(labels), (logits.argmax(1) == labels).sum().double()])
        after_step()
    return sums, rate
