"""Every port in memory: for tests, simulations and trying things out."""
