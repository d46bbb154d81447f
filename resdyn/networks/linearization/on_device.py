r"""Complete spectra of many dense Jacobians on a device, in batches.

All in double precision: eigenvalues of :math:`J J^{\mathsf T}` or :math:`J^{\mathsf T} J`, whichever is smaller, of as
many Jacobians of one shape at a time as its memory holds; small singular values are refined as on the CPU.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from resdyn import _memory
from resdyn.networks.devices import named_device
from resdyn.networks.linearization.matrices import whole_space
from resdyn.networks.linearization.symmetric import REMEDY, roots

Array = NDArray[Any]

SHARE = 0.5
"""Of the memory that is free: eigenvalues need workspace, and others may need some."""


def spectra_on_device(linearizations: Iterable[Any], device: Any = "cuda") -> list[Array]:
    r"""All singular values of each Jacobian, descending, without use of its structure.

    For many Jacobians of units without structure, or of stages. Where a unit has factors, a matrix that is several
    times smaller has the same spectrum: ``singular_values()`` is then often faster on a CPU.

    Parameters
    ----------
    linearizations : iterable
        With ``shape`` and ``to_dense()``, of any shapes: units, stages, networks.
    device : str or torch.device
        "cuda", "cuda:1", "cpu".

    Returns
    -------
    list of arrays, each of shape (min(n, m),)
        In the order given; exact to about 1e-12 of the largest.

    Raises
    ------
    RuntimeError
        If there is no such device.
    MemoryError
        If one Jacobian alone does not fit.
    """
    on = named_device(device)
    given = list(linearizations)
    spectra: list[Array] = [np.zeros(0)] * len(given)
    for batch in _batches([linearization.shape for linearization in given], on):
        for which, values in zip(batch, _spectra([given[which] for which in batch], on), strict=True):
            spectra[which] = values
    return spectra


def _batches(shapes: list[tuple[int, int]], device: torch.device) -> Iterator[list[int]]:
    """Which Jacobians of one shape fit on the device together."""
    room = _free_bytes(device)
    for n, m in dict.fromkeys(shapes):
        # the Jacobian, its Gram matrix, and a copy of that in which the eigenvalues are found
        each = 8 * (n * m + 3 * min(n, m) ** 2)
        if each > room:
            raise MemoryError(
                f"the spectrum of a Jacobian of shape {(n, m)} needs {_memory.readable(each)} on {str(device)!r}, but "
                f"{_memory.readable(room)} are there for it; {REMEDY}, or leave device= out where J has factors."
            )
        same = [which for which, shape in enumerate(shapes) if shape == (n, m)]
        together = max(1, room // max(each, 1))
        yield from (same[first : first + together] for first in range(0, len(same), together))


def _free_bytes(device: torch.device) -> int:
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else _memory.available_bytes()
    return int(SHARE * free)


def _spectra(linearizations: list[Any], device: torch.device) -> list[Array]:
    dense = np.stack([np.asarray(linearization.to_dense(), dtype=np.float64) for linearization in linearizations])
    wide = dense if dense.shape[1] <= dense.shape[2] else dense.swapaxes(1, 2)
    J = torch.from_numpy(wide).to(device)
    gram = J @ J.mT
    squares = torch.linalg.eigvalsh(gram).cpu().numpy()
    return [_refined(squares[i], wide[i], gram[i].cpu().numpy()) for i in range(len(wide))]


def _refined(squares: Array, wide: Array, gram: Array) -> Array:
    """Rows that are zero, as those that D switches off, give as many zeros, which need no refinement."""
    values = np.zeros(len(wide))
    filled, reached = wide.any(axis=1), wide.any(axis=0)
    rows = int(filled.sum())
    if rows:
        kept = wide[filled][:, reached]
        others = squares[np.argsort(abs(squares))[len(squares) - rows :]]
        space = whole_space(gram[np.ix_(filled, filled)], lambda Q: kept.T @ Q)
        values[:rows] = roots(others, space, spare=max(0, rows - kept.shape[1]))
    return values
