"""Simulation and replay: what tests petcd without being shipped with it."""
