"""Chaos with real processes: everything that can fail does, by lot, and the oracle judges.

`python -m tests.chaos` runs it; docs/chaos.md tells what is done and what is shown.
"""
