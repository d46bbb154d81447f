"""The architectures of the four papers, made of residual units."""
