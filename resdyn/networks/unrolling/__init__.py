"""Any residual network of torch as a chain of units, and its stages as systems."""
