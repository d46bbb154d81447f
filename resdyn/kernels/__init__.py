"""Compiled kernels: the only room with numba. Import its modules where they are first needed."""
