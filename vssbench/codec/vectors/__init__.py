"""Readers of motion vectors: what a decoder knows of a picture's blocks, as BlockVectors. One file
a decoder."""
