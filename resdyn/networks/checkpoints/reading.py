"""A network from a file: with our card, or inferred from names and shapes."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from resdyn.networks.architectures.blocks import InterpolationCoefficient
from resdyn.networks.architectures.catalogue import ARCHITECTURES, build
from resdyn.networks.architectures.contract import Preprocessing, ResidualNetwork
from resdyn.networks.checkpoints.files import Stored, read
from resdyn.networks.checkpoints.foreign import NotInferred, in_our_names, inferred_architecture
from resdyn.networks.checkpoints.places import locate
from resdyn.networks.checkpoints.writing import OWN_ENTRIES
from resdyn.networks.devices import named_device

ArchitectureLike = str | Mapping[str, Any] | Callable[[], ResidualNetwork] | ResidualNetwork
_FORMS = "a name, a dictionary such as net.architecture, a function that builds the network, or a ResidualNetwork"


def load(
    path_or_name: str | os.PathLike[str],
    architecture: ArchitectureLike | None = None,
    *,
    preprocessing: Preprocessing | tuple[Sequence[float], Sequence[float]] | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> ResidualNetwork:
    """A trained network from a file, in evaluation mode.

    Files of :func:`resdyn.networks.save` say what they hold. Of others (``.safetensors``, or ``.th``, ``.pt``, ``.pth``
    of tensors alone: nothing in a file is executed) a ResNet or ResNeXt for CIFAR is inferred, if they name their
    weights as we do, or ``conv1``, ``layer1.0.conv1``, …, with ``linear`` or ``fc``. What shapes do not show, strides
    and activations, is taken as in :func:`resdyn.networks.resnet`.

    Parameters
    ----------
    path_or_name : path or str
        A file; or the name, without ending, of a network that comes with resdyn or lies in ``weights/`` below the
        data folder (see :func:`resdyn.data.cifar10`).
    architecture : optional
        A name or dictionary for :func:`resdyn.networks.build`, a function without arguments that makes the network, or
        a :class:`resdyn.networks.ResidualNetwork`, which then takes the weights and is returned; it stays as it was if
        they do not fit. Needed where nothing can be inferred. Must agree with the card, if there is one. A dictionary
        may leave out what names and shapes show: ``{"name": "resnet", "interpolation": "in"}``.
    preprocessing : Preprocessing or pair (mean, std), optional
        What ``net.on_pixels`` does to images. By default what the card says; None without a card.
    device : str or torch.device, optional
        The CPU if left out.
    dtype : torch.dtype
        Of weights and buffers; a floating-point type.

    Returns
    -------
    ResidualNetwork
        With ``architecture``, ``preprocessing``, and ``card``: how it was trained, as far as the file says.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such file or name; the message lists the names that there are.
    ValueError
        If the file is damaged, or a pickle of more than tensors; if the architecture cannot be inferred, contradicts
        the card, or does not fit the tensors: the message names the first that differ.
    TypeError
        If an argument is of the wrong type.
    RuntimeError
        If the device is not there.
    """
    if not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise TypeError(f"dtype must be a floating-point type such as torch.float32, but is {dtype!r}.")
    place = named_device("cpu" if device is None else device)
    chosen = _preprocessing(preprocessing)
    stored = read(locate(path_or_name))
    net = _network(stored, architecture)
    tensors = stored.tensors if stored.card else in_our_names(stored.tensors)
    tensors = _without_fixed_coefficients(net, tensors, stored)
    _check_fit(net, tensors, stored)
    chosen = chosen or _preprocessing_of(stored) or net.preprocessing
    _check_channels(chosen, net, stored)
    # cast first, so that float64 weights are not rounded on the way
    net.to(device=place, dtype=dtype)
    net.load_state_dict(tensors, strict=False)
    net.preprocessing = chosen
    net.card = {key: value for key, value in (stored.card or {}).items() if key not in OWN_ENTRIES}
    return net.eval()


def _network(stored: Stored, architecture: ArchitectureLike | None) -> ResidualNetwork:
    """The network, with the weights that it was built with."""
    if architecture is None:
        return _built(stored)
    if isinstance(architecture, str | Mapping):
        given = {"name": architecture} if isinstance(architecture, str) else dict(architecture)
        if stored.card is None:
            return _quietly(lambda: build(_completed(given, stored)))
        net = _built(stored)
        _check_agreement(given, net.architecture, stored)
        return net
    net = _given_network(architecture)
    if stored.card is not None:
        _check_agreement(net.architecture, _normal(stored), stored)
    return net


def _given_network(architecture: Any) -> ResidualNetwork:
    if isinstance(architecture, ResidualNetwork):
        return architecture
    if not callable(architecture):
        raise TypeError(f"architecture must be {_FORMS}, but is {architecture!r}.")
    net = _quietly(architecture)
    if not isinstance(net, ResidualNetwork):
        raise TypeError(
            f"the architecture function made a {type(net).__name__}, but load fills a ResidualNetwork; fill other "
            "networks with their own load_state_dict, and pass them to resdyn.networks.unroll."
        )
    return net


def _normal(stored: Stored) -> dict[str, Any]:
    """The description on the card with all arguments: those that came later are not in older cards."""
    described: dict[str, Any] = (stored.card or {})["architecture"]
    return described if described["name"] not in ARCHITECTURES else _built(stored).architecture


def _built(stored: Stored) -> ResidualNetwork:
    """The network that the card describes, or that names and shapes show."""
    if stored.card is not None:
        carded = stored.card["architecture"]
        try:
            return _quietly(lambda: build(carded))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"the card of {str(stored.path)!r} describes a network that this version of resdyn cannot build "
                f"({str(error).rstrip('.')}); update resdyn, or pass architecture= as a function that builds it."
            ) from None
    try:
        return _quietly(lambda: build(inferred_architecture(in_our_names(stored.tensors))))
    except ValueError as reason:
        raise ValueError(
            f"{str(stored.path)!r} has no card, and its architecture cannot be inferred: {str(reason).rstrip('.')}. It "
            f"holds {len(stored.tensors)} tensors: {_first(stored.tensors)}. Pass architecture=: {_FORMS}."
        ) from None


def _completed(given: dict[str, Any], stored: Stored) -> dict[str, Any]:
    """What is not given is completed by what names and shapes show."""
    told = {key: value for key, value in given.items() if key != "name"}
    try:
        inferred = inferred_architecture(in_our_names(stored.tensors), told=told)
    except NotInferred:
        return given
    return inferred if inferred["name"] == given["name"] else given


def _quietly(make: Callable[[], ResidualNetwork]) -> ResidualNetwork:
    """Build without a trace in the caller's random numbers: the weights drawn are replaced."""
    with torch.random.fork_rng(devices=[]):
        return make()


def _check_agreement(given: Mapping[str, Any], carded: Mapping[str, Any], stored: Stored) -> None:
    # as JSON says it: a tuple is a list
    wanted, found = (json.loads(json.dumps(dict(each), default=str)) for each in (given, carded))
    for key, value in wanted.items():
        if found.get(key) != value:
            raise ValueError(
                f"architecture= contradicts the card of {str(stored.path)!r}: {key!r} is {value!r}, but the card says "
                f"{found.get(key)!r}; leave architecture out to take what the card says."
            )


def _without_fixed_coefficients(
    net: ResidualNetwork, tensors: Mapping[str, Tensor], stored: Stored
) -> dict[str, Tensor]:
    """The tensors but k where the network fixes λ; a file that says otherwise is refused."""
    left = dict(tensors)
    for name, module in net.named_modules():
        if isinstance(module, InterpolationCoefficient) and module.fixed is not None and f"{name}.k" in left:
            k = float(left.pop(f"{name}.k"))
            found = max(1 - k if module.kind == "in" else k, 0.0)
            # files of older versions hold k in single precision
            if abs(found - module.fixed) > 1e-6 * (1 + module.fixed):
                raise ValueError(
                    f"the architecture fixes λ = {module.fixed:g}, but {str(stored.path)!r} holds λ = {found:g} in "
                    f"{name!r}; leave coefficient out to take those of the file, or set it to what they are."
                )
    return left


def _check_channels(preprocessing: Preprocessing | None, net: ResidualNetwork, stored: Stored) -> None:
    channels = net.architecture.get("channels")
    if preprocessing is not None and channels is not None and len(preprocessing.mean) != channels:
        raise ValueError(
            f"the preprocessing has {len(preprocessing.mean)} means, but the network of {str(stored.path)!r} takes "
            f"images of {channels} channels; pass preprocessing=(mean, std) with one number each per channel."
        )


def _check_fit(net: ResidualNetwork, tensors: Mapping[str, Tensor], stored: Stored) -> None:
    """Refuse tensors that are not those of the network."""
    wanted = net.state_dict()
    # counters that evaluation does not read, and that torch did not always store
    missing = [name for name in wanted if name not in tensors and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in tensors if name not in wanted]
    shapes = [name for name in wanted if name in tensors and wanted[name].shape != tensors[name].shape]
    problems = []
    if missing:
        problems.append(f"{len(missing)} missing, first {_first(missing)}")
    if unexpected:
        problems.append(f"{len(unexpected)} unexpected, first {_first(unexpected)}")
    if shapes:
        listed = ", ".join(
            f"{name} {tuple(tensors[name].shape)} instead of {tuple(wanted[name].shape)}" for name in shapes[:3]
        )
        problems.append(f"{len(shapes)} of another shape, first {listed}")
    if problems:
        raise ValueError(
            f"the tensors of {str(stored.path)!r} are not those of {net.architecture}: {'; '.join(problems)}. "
            f"Pass the architecture= that they were trained with: {_FORMS}."
        )


def _first(names: Any) -> str:
    listed = list(names)
    return ", ".join(listed[:3]) + (", …" if len(listed) > 3 else "")


def _preprocessing(value: Any) -> Preprocessing | None:
    if value is None or isinstance(value, Preprocessing):
        return value
    try:
        mean, std = value
    except (TypeError, ValueError):
        raise TypeError(
            "preprocessing must be a Preprocessing or a pair (mean, std) of one number each per channel, "
            f"but is {value!r}."
        ) from None
    return Preprocessing(mean, std)


def _preprocessing_of(stored: Stored) -> Preprocessing | None:
    entry = (stored.card or {}).get("preprocessing")
    try:
        return None if entry is None else Preprocessing(entry["mean"], entry["std"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"the card of {str(stored.path)!r} is damaged: its preprocessing is {entry!r} ({error}); pass "
            "preprocessing=(mean, std)."
        ) from None
