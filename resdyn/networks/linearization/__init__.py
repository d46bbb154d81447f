"""Jacobians of residual units, stages and networks, their exact spectra, and perturbations on singular subspaces."""

from resdyn.networks.linearization.density import SpectralDensity as SpectralDensity
from resdyn.networks.linearization.factors import Factors as Factors
from resdyn.networks.linearization.linearizing import linearize as linearize
from resdyn.networks.linearization.on_device import spectra_on_device as spectra_on_device
from resdyn.networks.linearization.projection import Projection as Projection
from resdyn.networks.linearization.projection import project as project
from resdyn.networks.linearization.stages import LinearizedNetwork as LinearizedNetwork
from resdyn.networks.linearization.stages import LinearizedStage as LinearizedStage
from resdyn.networks.linearization.streaming import UnitCounts as UnitCounts
from resdyn.networks.linearization.streaming import UnitSpectra as UnitSpectra
from resdyn.networks.linearization.streaming import unit_counts as unit_counts
from resdyn.networks.linearization.streaming import unit_spectra as unit_spectra
from resdyn.networks.linearization.unit import LinearizedUnit as LinearizedUnit
from resdyn.networks.linearization.values import Atom as Atom
from resdyn.networks.linearization.values import Triplets as Triplets
