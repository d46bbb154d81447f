"""What hauser2019 says, and what our numbers say about it.

Only the abstract was at hand: roughly inverse proportion is its statement on the scaled magnitude. It says that the
absolute one was measured, too, and that a stopping rule compares the average with ε: what it found there is not known.
"""

from experiments.hauser2019_perturbation import claims_magnitudes, claims_stopping

CLAIMS = (*claims_magnitudes.CLAIMS, *claims_stopping.CLAIMS)
