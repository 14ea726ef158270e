"""Every port in memory: for tests, simulations and trying things out."""

from sebastian_adapters.memory.arguments import InMemoryArguments, in_memory

__all__ = ["InMemoryArguments", "in_memory"]
