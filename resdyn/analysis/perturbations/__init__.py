"""Perturbations and noise, followed through layers that may change the shape of states."""
