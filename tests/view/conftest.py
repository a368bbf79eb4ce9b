"""Views are tried on the same clips as codecs."""

from tests.codec.conftest import pan, provable

__all__ = ["pan", "provable"]
