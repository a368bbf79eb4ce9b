"""Runs one experiment: its identity, the stream of frames, the recorder and the store of
results."""
