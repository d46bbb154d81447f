"""What yang2020 says, and what our numbers say about it."""

from experiments.yang2020_interpolation import claims_flows, claims_networks

CLAIMS = (*claims_flows.CLAIMS, *claims_networks.CLAIMS)
