"""The Qiscus client over HTTP."""
