"""The version of vssbench, which every result and weight file names."""

__version__ = "0.1.0"
