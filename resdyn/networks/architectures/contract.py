"""What every network of ours is: a stem, stages of residual blocks, a head."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resdyn import _validation as validate


@dataclass(frozen=True)
class Preprocessing:
    """How pixels become inputs: ``(pixels - mean) / std``, one number of each per channel.

    Parameters
    ----------
    mean, std : sequences of floats
        A single float counts as one channel.

    Raises
    ------
    TypeError
        If they are no numbers.
    ValueError
        If there are not as many deviations as means, a number is not finite, or a deviation not positive.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        mean, std = _numbers(self.mean, "mean"), _numbers(self.std, "std")
        if not mean or len(mean) != len(std):
            raise ValueError(
                f"preprocessing has {len(mean)} means and {len(std)} deviations; give one of each per channel."
            )
        if not all(map(isfinite, mean)):
            raise ValueError(f"mean is {mean}; give finite numbers.")
        if not all(isfinite(deviation) and deviation > 0 for deviation in std):
            raise ValueError(f"std is {std}, but pixels are divided by it; give positive numbers.")
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "std", std)

    def __call__(self, pixels: Any) -> Any:
        """Inputs of pixels of shape (n, C, H, W) with values from 0 to 1: a tensor of a tensor, an array of an array.

        Raises
        ------
        TypeError
            If the pixels are integers.
        ValueError
            If the number of channels is another one.
        """
        mean, std = self._columns(pixels)
        return (pixels - mean) / std

    def inverse(self, inputs: Any) -> Any:
        """Pixels of inputs."""
        mean, std = self._columns(inputs)
        return inputs * std + mean

    def _columns(self, images: Any) -> Any:
        """Mean and deviation, to be broadcast over images of their kind and dtype."""
        is_tensor = isinstance(images, Tensor)
        shape = tuple(images.shape if is_tensor else np.shape(images))
        if len(shape) != 4 or shape[1] != len(self.mean):
            raise ValueError(
                f"images have shape {shape}, but the preprocessing is for images of shape (n, {len(self.mean)}, H, W)."
            )
        if not (images.is_floating_point() if is_tensor else np.asarray(images).dtype.kind == "f"):
            raise TypeError(
                f"images have dtype {images.dtype}, but needed are values from 0 to 1; divide by 255, or take "
                "ImageSet.pixels()."
            )
        table = (self.mean, self.std)
        columns = images.new_tensor(table) if is_tensor else np.array(table, dtype=images.dtype)
        return columns.reshape(2, -1, 1, 1)


def _numbers(values: Any, name: str) -> tuple[float, ...]:
    try:
        return tuple(map(float, values)) if hasattr(values, "__len__") else (float(values),)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be numbers, one per channel, but is {values!r}.") from None


class ResidualStage(nn.Module):
    r"""Units that follow each other at one shape of the state: :math:`x_{k+1} = B_k(x_k)`.

    Attributes
    ----------
    entry : module or None
        The unit that changes the shape of the state, before the others.
    blocks : sequence of modules
        The units that keep it. A module that stands there more than once shares its weights.
    name : str or None
        Of the residual map that it was made of.
    """

    name: str | None = None

    def __init__(self, entry: nn.Module | None, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.entry = entry
        self.blocks = nn.ModuleList(blocks)

    def units(self) -> Iterator[nn.Module]:
        """The entry, if there is one, and the blocks."""
        if self.entry is not None:
            yield self.entry
        yield from self.blocks

    def forward(self, x: Tensor) -> Tensor:
        """The state after the stage."""
        for unit in self.units():
            x = unit(x)
        return x


class SharedStage(ResidualStage):
    """One block, applied ``depth`` times: an autonomous stage."""

    def __init__(self, block: nn.Module, depth: int) -> None:
        nn.Module.__init__(self)
        self.entry = None
        self.block = block
        self.depth = validate.count(depth, "depth", least=1)

    @property
    def blocks(self) -> list[nn.Module]:  # type: ignore[override]
        """The block, as often as it is applied."""
        return [self.block] * self.depth


class ResidualNetwork(nn.Module):
    """A network of ours: ``head(stages(stem(x)))``.

    Attributes
    ----------
    stem, head : module
        From the input to the first state, and from the last state to the logits.
    stages : ModuleList of ResidualStage
    preprocessing : Preprocessing or None
        What :meth:`on_pixels` does to images first.
    architecture : dict
        The name under which :func:`resdyn.networks.build` knows it, and the arguments it was made with.
    card : dict
        How it was trained; empty for a net that was not.
    """

    def __init__(
        self,
        stem: nn.Module,
        stages: Sequence[ResidualStage],
        head: nn.Module,
        *,
        architecture: Mapping[str, Any],
        preprocessing: Preprocessing | None = None,
    ) -> None:
        super().__init__()
        self.stem, self.stages, self.head = stem, nn.ModuleList(stages), head
        self.architecture = dict(architecture)
        self.preprocessing = preprocessing
        self.card: dict[str, Any] = {}

    def forward(self, x: Tensor) -> Tensor:
        """Logits of normalised inputs, shape (n, classes)."""
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.head(x)

    def on_pixels(self, images: Any) -> Tensor:
        """Logits of images with values from 0 to 1.

        Parameters
        ----------
        images : tensor or array, shape (n, C, H, W)
            For example ``resdyn.data.cifar10().pixels()``.

        Raises
        ------
        TypeError
            If the images are integers.
        ValueError
            If the net has no ``preprocessing``, values are outside [0, 1], or the shape is another one.
        """
        if self.preprocessing is None:
            raise ValueError(
                f"this {self.architecture['name']} does not know how its inputs were normalised; set "
                "net.preprocessing = Preprocessing(mean, std), or load it with preprocessing=(mean, std). "
                "net(x) takes inputs that are normalised already."
            )
        parameter = next(self.parameters())
        if isinstance(images, np.ndarray) and not (images.flags.writeable and images.flags.c_contiguous):
            # torch warns about memory that it may not write to, and refuses strides that run backwards
            images = images.copy()
        pixels = torch.as_tensor(images).to(device=parameter.device)
        if not pixels.is_floating_point():
            raise TypeError(
                f"images have dtype {pixels.dtype}, but needed are values from 0 to 1; divide by 255, or take "
                "ImageSet.pixels()."
            )
        values = pixels.detach()  # pixels may carry a gradient
        low, high = (float(values.min()), float(values.max())) if pixels.numel() else (0.0, 0.0)
        if not (low >= 0 and high <= 1):
            raise ValueError(
                f"images run from {low:.4g} to {high:.4g}, but pixels run from 0 to 1; divide bytes by 255, and pass "
                "inputs that are normalised already to net(x)."
            )
        return self(self.preprocessing(pixels.to(parameter.dtype)))

    @property
    def units(self) -> list[nn.Module]:
        """All residual units, in order."""
        return [unit for stage in self.stages for unit in stage.units()]
