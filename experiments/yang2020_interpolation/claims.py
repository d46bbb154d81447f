"""What yang2020 says, and what our numbers say about it."""

from experiments.yang2020_interpolation import (
    claims_attractors,
    claims_discretisations,
    claims_gains,
    claims_logistic,
    claims_networks,
)

FLOWS = (*claims_discretisations.CLAIMS, *claims_attractors.CLAIMS, *claims_logistic.CLAIMS, *claims_gains.CLAIMS)
CLAIMS = (*FLOWS, *claims_networks.CLAIMS)
