"""The authors' published networks: how their checkpoints map onto ours, and how their outputs are read off our models."""
