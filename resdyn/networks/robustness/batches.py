"""An attack on many images: batch after batch, checked before and judged after."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from resdyn import _validation as validate
from resdyn.networks.robustness.checks import Norm, as_array, class_numbers, pixel_images, pixel_radius, require_classes
from resdyn.networks.robustness.outcomes import Attack
from resdyn.networks.robustness.pixel_models import PixelModel

AttackOne = Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]
"""From clean images, classes, and a sign (−1 if the classes are to be reached) to attacked images and which stalled."""


@torch.inference_mode(False)
@torch.no_grad()
def attack_in_batches(
    model: PixelModel,
    images: Any,
    labels: Any,
    targets: Any,
    one: AttackOne,
    *,
    norm: Norm,
    radius: float | None,
    method: str,
    batch_size: int,
    progress: bool,
) -> Attack:
    """The outcome of one attack on all images, also where the caller has switched gradients off."""
    clean = pixel_images(images)
    y = class_numbers(labels, len(clean))
    aims = None if targets is None else class_numbers(targets, len(clean), "targets")
    if radius is not None:
        pixel_radius(radius, norm, tuple(clean.shape[1:]))
    classes, sign = (y, 1.0) if aims is None else (aims, -1.0)
    columns: dict[str, list[Tensor]] = {name: [] for name in ("images", "before", "after", "stalled")}
    for part in _parts(len(clean), validate.count(batch_size, "batch_size", least=1), method, progress):
        x = clean[part].to(model.device or clean.device)
        before = model.checked(x)
        require_classes(before.shape[1], y[part], "labels")
        if aims is not None:
            require_classes(before.shape[1], aims[part], "targets")
        attacked, stalled = one(x, classes[part].to(x.device), sign)
        after = model.checked(attacked)
        for name, value in zip(columns, (attacked, before, after, stalled), strict=True):
            columns[name].append(value.detach().cpu())
    found = {name: torch.cat(values) for name, values in columns.items()}
    return Attack(
        clean=as_array(clean),
        images=as_array(found["images"]),
        labels=as_array(y),
        clean_predictions=as_array(found["before"].argmax(dim=1)),
        predictions=as_array(found["after"].argmax(dim=1)),
        clean_loss=as_array(cross_entropy(found["before"], classes.cpu(), reduction="none")),
        loss=as_array(cross_entropy(found["after"], classes.cpu(), reduction="none")),
        stalled=as_array(found["stalled"]),
        norm=norm,
        radius=None if radius is None else float(radius),
        method=method,
        targets=None if aims is None else as_array(aims),
    )


def _parts(n: int, size: int, method: str, progress: bool) -> Iterator[slice]:
    parts = [slice(begin, begin + size) for begin in range(0, n, size)]
    if not progress:
        yield from parts
        return
    from tqdm.auto import tqdm

    with tqdm(total=n, desc=method, unit="image") as bar:
        for part in parts:
            yield part
            bar.update(min(part.stop, n) - part.start)
