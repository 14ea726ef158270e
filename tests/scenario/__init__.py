"""The floor scenario: real processes, a floor of customers and agents, and the oracle's verdict.

`python -m tests.scenario` runs it; docs/scenario.md tells what it shows.
"""
