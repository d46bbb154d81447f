r"""Attacks that climb the loss by its gradient with respect to the pixels.

One step of size α, a projection back onto the ball of radius r around a centre c, and one onto the cube of images:

.. math::

    x \leftarrow \Pi_{[0,1]}\,\Pi_{B_r(c)}\,(x + \alpha\, d(\nabla_x L)),

where d is the steepest direction of the norm: the sign for :math:`\ell_\infty`, :math:`g / \|g\|` for :math:`\ell_2`.
The second projection moves x towards c in every pixel, since c is an image too, so x stays in the ball.
"""

from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from resdyn import _validation as validate
from resdyn.networks.robustness.batches import attack_in_batches
from resdyn.networks.robustness.checks import Norm, norm_word
from resdyn.networks.robustness.outcomes import Attack
from resdyn.networks.robustness.pixel_models import OWN, PixelModel, pixel_gradient, pixel_model

_BATCH = 128


def fgsm(
    net: Any,
    images: Any,
    labels: Any,
    *,
    radius: float,
    norm: Any = "linf",
    targets: Any = None,
    preprocessing: Any = OWN,
    batch_size: int = _BATCH,
) -> Attack:
    r"""Fast gradient sign method: one step of full length, from the image.

    .. math:: x' = \Pi_{[0,1]}\,(x + r\, \mathrm{sign}\,\nabla_x L(x, y))

    with L the cross-entropy [goodfellow2015]_; for :math:`\ell_2` the sign becomes :math:`g / \|g\|`.

    Parameters
    ----------
    net, images, labels, radius, norm, targets, preprocessing, batch_size
        As for :func:`resdyn.networks.pgd`.

    Returns
    -------
    Attack
    """
    return _attack(
        net,
        images,
        labels,
        targets,
        preprocessing,
        Climb(norm_word(norm), radius, steps=1, step_size=radius, start="centre"),
        method="FGSM" if norm_word(norm) == "linf" else "fast gradient method",
        batch_size=batch_size,
    )


def i_fgsm(
    net: Any,
    images: Any,
    labels: Any,
    *,
    radius: float,
    norm: Any = "linf",
    steps: int = 20,
    step_size: float | None = None,
    targets: Any = None,
    preprocessing: Any = OWN,
    batch_size: int = _BATCH,
    progress: bool = False,
) -> Attack:
    """Iterated FGSM (basic iterative method): small steps in the ball around the image, from the image [kurakin2017]_.

    The same as :func:`resdyn.networks.pgd` with ``start="centre"``, but for the step.

    Parameters
    ----------
    step_size : float, optional
        By default ``radius / steps``, with which the border of the ball is reached in the last step. [yang2020]_ takes
        20 steps of 1/255 at every radius.
    net, images, labels, radius, norm, steps, targets, preprocessing, batch_size, progress
        As for :func:`resdyn.networks.pgd`.

    Returns
    -------
    Attack
    """
    steps = validate.count(steps, "steps", least=1)
    if step_size is None:
        step_size = validate.nonnegative(radius, "radius") / steps
    return _attack(
        net,
        images,
        labels,
        targets,
        preprocessing,
        Climb(norm_word(norm), radius, steps=steps, step_size=step_size, start="centre"),
        method="I-FGSM",
        batch_size=batch_size,
        progress=progress,
    )


def pgd(
    net: Any,
    images: Any,
    labels: Any,
    *,
    radius: float,
    norm: Any = "linf",
    steps: int = 20,
    step_size: float | None = None,
    start: Literal["random", "centre"] = "random",
    ball: Literal["image", "start"] = "image",
    targets: Any = None,
    restarts: int = 1,
    rng: np.random.Generator | int | None = 0,
    preprocessing: Any = OWN,
    batch_size: int = _BATCH,
    progress: bool = False,
) -> Attack:
    r"""Projected gradient ascent of the cross-entropy in a ball around each image [madry2018]_.

    .. math::

        x_{k+1} = \Pi_{[0,1]}\,\Pi_{B_r(c)}\,\bigl(x_k + \alpha\, d(\nabla_x L(x_k, y))\bigr),
        \qquad d(g) = \mathrm{sign}\, g \;(\ell_\infty), \quad g / \|g\|_2 \;(\ell_2)

    All steps are taken, also where an image is misclassified before the last one. Attacked images are images: their
    pixels stay in [0, 1]. They are in the ball to rounding.

    Parameters
    ----------
    net : network or callable
        A network in eval mode, whose parameters, gradients and mode are left as they are; or a function from pixels
        to logits.
    images : tensor or array, shape (n, C, H, W)
        Pixels from 0 to 1, such as ``ImageSet.pixels()``. Attacks are computed in their precision.
    labels : integer tensor or array, shape (n,)
        The true classes.
    radius : float
        r, in units of pixels from 0 to 1: 8/255 is common in ``linf``, 0.5 in ``l2``.
    norm : "linf" or "l2"
        ``np.inf`` and 2 mean the same.
    steps : int
    step_size : float, optional
        α, by default 2.5 r / steps, as in [madry2018]_. [yang2020]_ takes 20 steps of 1/255 at every radius.
    start : "random" or "centre"
        Uniformly distributed in the ball (and then moved into [0, 1]), or the image itself.
    ball : "image" or "start"
        c: the image, or the random start. The latter is how the public code of [yang2020]_ works; an attacked image
        can then be up to 2 r from the clean one.
    targets : integer tensor or array, shape (n,), optional
        Classes to reach: the cross-entropy of the target is lowered instead.
    restarts : int
        Attacks from so many random starts; of each image a misclassified end is kept before others, and then the one of
        the largest loss. The first start is the same for any number.
    rng : numpy Generator or seed
        For the starts, which are drawn image by image: batches change nothing.
    preprocessing : (mean, std), Preprocessing, or None
        How pixels become inputs of ``net``; by default what ``net.preprocessing`` says (also for ``net.forward`` and
        ``functools.partial(net)``). A torch module without it needs the argument: None says that it takes pixels. A
        function is taken to take pixels.
    batch_size : int
        Images at once: a matter of memory.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Attack

    Raises
    ------
    TypeError, ValueError
        For images outside [0, 1] or of another shape, labels that do not fit, a network in train mode, logits that are
        not finite, fewer than two per image or without a gradient, a radius larger than the cube of all images.
    """
    steps = validate.count(steps, "steps")
    if step_size is None:
        step_size = 2.5 * validate.nonnegative(radius, "radius") / max(steps, 1)
    return _attack(
        net,
        images,
        labels,
        targets,
        preprocessing,
        Climb(norm_word(norm), radius, steps=steps, step_size=step_size, start=start, ball=ball),
        method="PGD",
        batch_size=batch_size,
        restarts=restarts,
        rng=rng,
        progress=progress,
    )


# --- one batch ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Climb:
    """How the loss is climbed."""

    norm: Norm
    radius: float
    steps: int
    step_size: float
    start: str = "random"
    ball: str = "image"

    def __post_init__(self) -> None:
        validate.nonnegative(self.radius, "radius")
        validate.choice(self.start, "start", ("random", "centre"))
        validate.choice(self.ball, "ball", ("image", "start"))
        validate.nonnegative(self.step_size, "step_size")
        if self.ball == "start" and self.start == "centre":
            raise ValueError(
                "ball='start' puts the ball around the random start, but start is 'centre'; pass start='random', or "
                "leave ball out."
            )

    def first(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Where the ascent begins."""
        if self.start == "centre":
            return images.clone()
        offsets = torch.from_numpy(self._uniform(tuple(images.shape), rng)).to(images)
        return (images + offsets).clamp(0, 1)

    def _uniform(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray[Any, Any]:
        if self.norm == "linf":
            return rng.uniform(-self.radius, self.radius, shape)
        # d of the d + 2 coordinates of a point on a sphere are uniform in the ball
        d = int(np.prod(shape[1:]))
        points = rng.standard_normal((shape[0], d + 2))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        return self.radius * points[:, :d].reshape(shape)

    def projected(self, x: Tensor, centre: Tensor) -> Tensor:
        """The nearest point of the ball, moved into [0, 1]."""
        offset = x - centre
        if self.norm == "linf":
            offset = offset.clamp(-self.radius, self.radius)
        else:
            lengths = _lengths(offset)
            offset = torch.where(lengths > self.radius, offset * (self.radius / lengths), offset)
        return (centre + offset).clamp(0, 1)

    def ascend(
        self, model: PixelModel, x: Tensor, centre: Tensor, classes: Tensor, sign: float
    ) -> tuple[Tensor, Tensor]:
        """The end of the ascent, and where no gradient showed a direction."""
        stalled = torch.ones(len(x), dtype=torch.bool, device=x.device)
        for _ in range(self.steps):
            gradient = loss_gradient(model, x, classes)
            direction = steepest(gradient, self.norm)
            stalled &= ~direction.flatten(1).any(dim=1)
            x = self.projected(x + sign * self.step_size * direction, centre)
        return x, stalled if self.steps else ~stalled


def loss_gradient(model: PixelModel, x: Tensor, classes: Tensor) -> Tensor:
    """The gradient of the cross-entropy with respect to the pixels, and to nothing else."""
    with torch.enable_grad():
        x = x.clone().requires_grad_(True)
        # the sum: the gradient of one image does not depend on how many others there are
        loss = cross_entropy(model(x), classes, reduction="sum")
        gradient = pixel_gradient(loss, x)
    return torch.nan_to_num(gradient, nan=0.0)


def steepest(gradient: Tensor, norm: Norm) -> Tensor:
    """The unit vector of the norm along which the loss rises most; zero where the gradient is."""
    if norm == "linf":
        return gradient.sign()
    # scaled first: the squares of a tiny gradient underflow
    largest = gradient.flatten(1).abs().amax(dim=1).view(-1, *[1] * (gradient.ndim - 1))
    scaled = gradient / torch.where(largest > 0, largest, 1)
    lengths = _lengths(scaled)
    return scaled / torch.where(lengths > 0, lengths, 1)


def _lengths(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x.flatten(1), dim=1).view(-1, *[1] * (x.ndim - 1))


# --- all batches -------------------------------------------------------------------------------------


def _attack(
    net: Any,
    images: Any,
    labels: Any,
    targets: Any,
    preprocessing: Any,
    climb: Climb,
    *,
    method: str,
    batch_size: int,
    restarts: int = 1,
    rng: np.random.Generator | int | None = 0,
    progress: bool = False,
) -> Attack:
    model = pixel_model(net, preprocessing)
    restarts = validate.count(restarts, "restarts", least=1)
    if restarts > 1 and climb.start == "centre":
        raise ValueError(f"restarts is {restarts}, but start='centre' begins always at the image; pass start='random'.")
    first = validate.generator(rng)
    generators = [first, *first.spawn(restarts - 1)] if restarts > 1 else [first]

    def once(clean: Tensor, classes: Tensor, sign: float, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
        x = climb.first(clean, generator)
        return climb.ascend(model, x, x if climb.ball == "start" else clean, classes, sign)

    def one(clean: Tensor, classes: Tensor, sign: float) -> tuple[Tensor, Tensor]:
        if restarts == 1:
            return once(clean, classes, sign, first)
        found = [once(clean, classes, sign, generator) for generator in generators]
        rated = [(*ends, *_merit(model, ends[0], classes, sign)) for ends in found]
        best = reduce(_better, rated)
        return best[0], best[1]

    return attack_in_batches(
        model, images, labels, targets, one, norm=climb.norm, radius=climb.radius, method=method,
        batch_size=batch_size, progress=progress,
    )  # fmt: skip


def _merit(model: PixelModel, x: Tensor, classes: Tensor, sign: float) -> tuple[Tensor, Tensor]:
    """Whether the attack reached its aim, and the loss that it climbed."""
    logits = model.checked(x)
    reached = (logits.argmax(dim=1) != classes) if sign > 0 else (logits.argmax(dim=1) == classes)
    return reached, sign * cross_entropy(logits, classes, reduction="none")


_Rated = tuple[Tensor, Tensor, Tensor, Tensor]


def _better(one: _Rated, other: _Rated) -> _Rated:
    """Of each image the end that reached its aim, and else the one of the larger loss."""
    x, stalled, reached, loss = one
    x2, stalled2, reached2, loss2 = other
    take = (reached2 & ~reached) | ((reached2 == reached) & (loss2 > loss))
    return (
        torch.where(take.view(-1, *[1] * (x.ndim - 1)), x2, x),
        stalled & stalled2,
        reached | reached2,
        torch.where(take, loss2, loss),
    )
