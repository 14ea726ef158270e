"""The web application that Qiscus calls."""
