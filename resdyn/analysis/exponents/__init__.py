"""How neighbours part: Lyapunov exponents, finite-time exponents, alignment indices, covariant vectors."""
