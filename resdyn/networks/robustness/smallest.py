"""The smallest perturbation that changes a decision, by the DeepFool of foolbox."""

import warnings
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from resdyn import _validation as validate
from resdyn.networks.robustness.batches import attack_in_batches
from resdyn.networks.robustness.checks import norm_word
from resdyn.networks.robustness.outcomes import Attack
from resdyn.networks.robustness.pixel_models import OWN, PixelModel, pixel_gradient, pixel_model


def deepfool(
    net: Any,
    images: Any,
    labels: Any,
    *,
    norm: Any = "l2",
    steps: int = 50,
    candidates: int = 10,
    overshoot: float = 0.02,
    preprocessing: Any = OWN,
    batch_size: int = 128,
    progress: bool = False,
) -> Attack:
    r"""DeepFool: step to the nearest boundary of the linearized classifier, again and again [moosavi2016]_.

    With :math:`l_k` the logits and y the class seen, the step goes to the class k that minimises
    :math:`|l_k - l_y| / \|\nabla(l_k - l_y)\|_*` (the dual norm) and has that length. The norms of the result bound the
    distance to the decision boundary from above. Runs the implementation of foolbox [rauber2020]_, which must be
    installed.

    Parameters
    ----------
    net, images, labels, norm, preprocessing, batch_size, progress
        As for :func:`resdyn.networks.pgd`.
    steps : int
        At most; an image stops moving once it is misclassified.
    candidates : int
        Only so many of the likeliest classes are aimed at.
    overshoot : float
        The perturbation is lengthened by this share, to land beyond the boundary.

    Returns
    -------
    Attack
        Its radius is None. Images that are misclassified already are left alone.

    Raises
    ------
    ModuleNotFoundError
        Without foolbox.
    TypeError, ValueError
        As for :func:`resdyn.networks.pgd`.
    """
    word = norm_word(norm)
    model = pixel_model(net, preprocessing)
    foolbox = _foolbox()
    kind = foolbox.attacks.LinfDeepFoolAttack if word == "linf" else foolbox.attacks.L2DeepFoolAttack
    attack = kind(
        steps=validate.count(steps, "steps", least=1),
        candidates=validate.count(candidates, "candidates", least=2),
        overshoot=validate.nonnegative(overshoot, "overshoot"),
    )

    def one(clean: Tensor, classes: Tensor, sign: float) -> tuple[Tensor, Tensor]:
        opaque = _Opaque(model, clean).eval()
        wrapped = foolbox.PyTorchModel(opaque, bounds=(0, 1), device=clean.device)
        with torch.enable_grad():
            attacked = attack.run(wrapped, clean.clone(), foolbox.criteria.Misclassification(classes))
        return attacked.detach().clamp(0, 1), opaque.stalled

    return attack_in_batches(
        model, images, labels, None, one, norm=word, radius=None, method="DeepFool",
        batch_size=batch_size, progress=progress,
    )  # fmt: skip


class _Opaque(nn.Module):
    """A network whose parameters foolbox does not see: it calls ``backward``, which would fill their gradients.

    ``stalled`` says of which images every gradient was zero.
    """

    def __init__(self, model: PixelModel, images: Tensor) -> None:
        super().__init__()
        self.logits = model
        self.stalled = torch.ones(len(images), dtype=torch.bool, device=images.device)

    def forward(self, pixels: Tensor) -> Tensor:
        return _Logits.apply(pixels, self)


class _Logits(torch.autograd.Function):
    """Logits with a gradient with respect to the pixels, and to nothing else."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, model: _Opaque) -> Tensor:
        with torch.enable_grad():
            ctx.model, ctx.pixels = model, pixels.detach().requires_grad_(True)
            ctx.logits = model.logits(ctx.pixels)
        return ctx.logits.detach()

    @staticmethod
    def backward(ctx: Any, cotangents: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        gradient = pixel_gradient(ctx.logits, ctx.pixels, cotangents)
        ctx.model.stalled &= ~gradient.flatten(1).any(dim=1)
        return gradient, None


def _foolbox() -> ModuleType:
    try:
        with warnings.catch_warnings():
            # foolbox 3.3 imports a namespace of SciPy that is on its way out
            warnings.simplefilter("ignore", DeprecationWarning)
            import foolbox
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"DeepFool runs in foolbox, which needs {error.name}; install it with: pip install foolbox", name=error.name
        ) from error
    return foolbox
