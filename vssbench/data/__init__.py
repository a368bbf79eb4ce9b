"""Data on disk: what is there and what can be run with it, frames taken from videos, checks of
everything."""
