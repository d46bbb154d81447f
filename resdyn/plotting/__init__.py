"""Figures, in the field's terms and in colours that the colour-blind can tell apart.

Every function draws into ``ax`` (or a new figure) and returns the Axes.
"""

from resdyn.plotting.attraction import basins, convergence_times
from resdyn.plotting.boundaries import basin_entropy, edge_track, resilience, uncertainty
from resdyn.plotting.branches import bifurcation_diagram
from resdyn.plotting.canvas import COLOURS
from resdyn.plotting.certificates import lyapunov_function
from resdyn.plotting.equilibria import fixed_points, multipliers
from resdyn.plotting.exponents import finite_time_exponents, lyapunov_spectrum
from resdyn.plotting.indicators import chaos_indicators, covariant_angles, covariant_directions
from resdyn.plotting.interactions import influence, relations
from resdyn.plotting.layerwise import layer_contributions, residual_norms, separability, transients
from resdyn.plotting.matching import basin_fractions, global_continuation
from resdyn.plotting.orbit_diagrams import orbit_diagram
from resdyn.plotting.orbits import cumulative_states, interaction_matrix, residual_transients, spread_per_layer
from resdyn.plotting.periodic import cycles, poincare_section
from resdyn.plotting.perturbations import noise_variance, propagation
from resdyn.plotting.portraits import manifold, phase_portrait, trajectories
from resdyn.plotting.spectra import projection, singular_values, spectrum, unit_spectra
from resdyn.plotting.training import training_curves
from resdyn.plotting.units import unit_norms

__all__ = [
    "COLOURS",
    "basin_entropy",
    "basin_fractions",
    "basins",
    "bifurcation_diagram",
    "chaos_indicators",
    "convergence_times",
    "covariant_angles",
    "covariant_directions",
    "cumulative_states",
    "cycles",
    "edge_track",
    "finite_time_exponents",
    "fixed_points",
    "global_continuation",
    "influence",
    "interaction_matrix",
    "layer_contributions",
    "lyapunov_function",
    "lyapunov_spectrum",
    "manifold",
    "multipliers",
    "noise_variance",
    "orbit_diagram",
    "phase_portrait",
    "poincare_section",
    "projection",
    "propagation",
    "relations",
    "residual_norms",
    "residual_transients",
    "resilience",
    "separability",
    "singular_values",
    "spectrum",
    "spread_per_layer",
    "training_curves",
    "trajectories",
    "transients",
    "uncertainty",
    "unit_norms",
    "unit_spectra",
]
