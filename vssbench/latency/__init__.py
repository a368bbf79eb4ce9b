"""``bench.py latency``: how long a frame takes, measured in fresh processes and interleaved rounds,
with a verdict."""
