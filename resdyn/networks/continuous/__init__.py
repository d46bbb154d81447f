"""Networks of continuous depth: the flow of trained blocks, and layers that are flows (torchdiffeq)."""

from resdyn.networks.continuous.flows import ODEFlow as ODEFlow
from resdyn.networks.continuous.ode_networks import ODEBlock as ODEBlock
from resdyn.networks.continuous.ode_networks import ode_net as ode_net
from resdyn.networks.continuous.stage_flows import ode_flow as ode_flow

__all__ = ["ODEBlock", "ODEFlow", "ode_flow", "ode_net"]
