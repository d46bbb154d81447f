"""What lagzi2021 says, and what our numbers say about it."""

from experiments.lagzi2021_transients import claims_circles, claims_dynamics, claims_mnist

CLAIMS = (*claims_circles.CLAIMS, *claims_mnist.CLAIMS, *claims_dynamics.CLAIMS)
