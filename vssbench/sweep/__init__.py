"""Runs grids of experiments."""
