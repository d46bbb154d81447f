"""What rothauge2019 says about linearizations, and what our numbers say about it.

No table of the paper was at hand: its claims are those of the abstract, in our words, and what it measured in numbers
is not known. Rows without a statement of the paper to judge are called "measured".
"""

from experiments.rothauge2019_linearization import (
    claims_beyond,
    claims_networks,
    claims_perturbations,
    claims_sparsity,
    claims_stages,
    claims_units,
)

CLAIMS = (
    *claims_units.ONES,
    claims_sparsity.SPARSITY,
    *claims_units.CHANGES,
    *claims_stages.STAGES,
    *claims_stages.PROJECTIONS,
    *claims_sparsity.OF_NETWORKS,
    *claims_perturbations.CLAIMS,
    *claims_networks.CLAIMS,
    *claims_beyond.CLAIMS,
)
