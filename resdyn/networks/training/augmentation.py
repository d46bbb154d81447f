"""Random crops and mirror images of a whole batch at once, on the device where the images are.

A crop of a padded and perhaps mirrored image is one look-up: pixel (i, j) of the result is pixel
(r(i + dy - pad), r(j' + dx - pad)) of the image, with j' = j or W - 1 - j, and r the reflection at the border.
"""

import numpy as np
import torch
from torch import Tensor

from resdyn.networks.training.config import TrainingConfig

ORDER, PLACES, DROPOUT = range(3)


def seed_of(seed: int, epoch: int, stream: int) -> int:
    """The seed of one stream of random numbers of one epoch, independent of all others."""
    return int(np.random.SeedSequence([seed, epoch, stream]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def order_of(config: TrainingConfig, epoch: int, n: int) -> Tensor:
    """The order of n images in an epoch; the same on every device."""
    generator = torch.Generator().manual_seed(seed_of(config.seed, epoch, ORDER))
    return torch.randperm(n, generator=generator)


def draw_places(config: TrainingConfig, epoch: int, n: int) -> Tensor:
    """dy, dx and whether to mirror, for each of n images: integers, shape (n, 3)."""
    generator = torch.Generator().manual_seed(seed_of(config.seed, epoch, PLACES))
    offsets = torch.randint(2 * config.pad + 1, (n, 2), generator=generator)
    mirrored = torch.randint(2 if config.flip else 1, (n, 1), generator=generator)
    return torch.cat([offsets, mirrored], dim=1)


def cut_out(images: Tensor, places: Tensor, config: TrainingConfig) -> Tensor:
    """The images, shape (n, C, H, W), each padded, cropped to its size and mirrored as ``places`` says."""
    channels, height, width = images.shape[1:]
    dy, dx, mirrored = (column[:, None] for column in places.unbind(1))
    across = torch.arange(width, device=images.device).expand(len(images), -1)
    rows = torch.arange(height, device=images.device) + dy - config.pad
    columns = torch.where(mirrored > 0, width - 1 - across, across) + dx - config.pad
    # one index per pixel for all channels
    down, right = _within_border(rows, height, config), _within_border(columns, width, config)
    index = (down[:, :, None] * width + right[:, None, :]).flatten(1)
    found = images.flatten(2).gather(2, index[:, None].expand(-1, channels, -1)).unflatten(2, (height, width))
    if config.pad and config.pad_mode == "zeros":
        inside = _inside(rows, height)[:, :, None] & _inside(columns, width)[:, None, :]
        found = found * inside[:, None]
    return found


def _within_border(index: Tensor, size: int, config: TrainingConfig) -> Tensor:
    if config.pad_mode == "zeros":
        return index.clamp(0, size - 1)
    index = index.abs()
    return torch.where(index < size, index, 2 * (size - 1) - index)


def _inside(index: Tensor, size: int) -> Tensor:
    return (index >= 0) & (index < size)
