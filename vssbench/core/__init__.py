"""The core that every other package builds upon; it imports none of them."""
