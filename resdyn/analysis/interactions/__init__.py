"""Cooperation and competition: signs of the Jacobian, and what follows from them."""
