"""A parameter is varied: orbit diagrams, and attractors matched from value to value."""
