"""What happens layer by layer: transients, probes, and rules for the depth."""
