r"""One-dimensional stable and unstable manifolds of saddles.

The unstable manifold of a fixed point x* holds the states whose past tends to x*, the stable one those whose future
does. Where there is one such direction, each is a curve with two arms that leave x* along an eigenvector:

.. math:: p(s) = x^* + sv + \tfrac{s^2}{2} w + O(s^3), \qquad F(p(s)) = p(\mu s) \quad\text{or}\quad
          f(p(s)) = \lambda s\,p'(s).

The local piece follows from these equations of invariance; the map, its inverse, or the flow makes the arms longer.
"""

from resdyn.analysis.manifolds.growth import invariant_manifold
from resdyn.analysis.manifolds.result import Manifold

__all__ = ["Manifold", "invariant_manifold"]
