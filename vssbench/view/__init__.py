"""Streams made visible: frames with their vectors, contact sheets, reports on files."""
