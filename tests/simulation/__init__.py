"""The deterministic simulation: many accounts, many faults, one thread, one seed each.

The real core, use cases and worker loops run on the in-memory adapters and the fake platform, on
a clock that jumps. Everything that happens follows from the seed.
"""
