"""Pieces of the real work, tried out: on the stores, at the platform, at our own webhook."""
